"""Words to build conversations from; each is used on one side of the split only (see `draw`)."""

from __future__ import annotations

NAMES = """
Ada Adam Agnes Ahmed Aisha Alan Alba Albert Alice Alma Amara Amir Amy Ana Anders Andrea Angela Anna Anton Arthur Astrid
Aya Ben Bella Bert Bianca Boris Bruno Carla Carlos Carmen Cecilia Chen Chloe Clara Colin Conrad Cora Dana Daniel Daria
David Denis Diana Diego Dora Edgar Edith Elena Eli Elias Elif Elisa Ella Emil Emily Emma Enzo Erik Esther Eva Fatima
Felix Fiona Flora Frank Frida Gabriel Gemma George Gina Grace Greta Gustav Hana Hannah Harry Hassan Heidi Helen Henry
Hiro Hugo Ian Ibrahim Ida Igor Ines Ingrid Irene Iris Isaac Ivan Ivy Jack Jakob James Jana Jane Jasmin Javier Jim Joan
John Jonas Jose Judith Julia Jun Kai Karim Karl Kate Keiko Ken Kim Klara Kofi Lars Laura Layla Lea Lena Leo Leon Lily
Lin
Linda Lisa Louis Luca Lucy Luis Luna Magnus Maja Marco Maria Marie Mario Mark Marta Martin Mary Matteo Max Maya Mei Mia
Michael Mila Milo Mina Mohammed Mona Nadia Nadine Naomi Nico Nils Nina Noah Nora Oda Olga Oliver Omar Oscar Otto Pablo
Paul Paula Pedro Peter Petra Pia Priya Quinn Rachel Rafael Raj Rania Rita Robert Robin Rosa Ruben Ruth Sam Samira Sara
Sean Selma Simon Sofia Sonja Stefan Stella Sven Tanja Tara Theo Thomas Tim Tina Tom Uma Ursula Valentin Vera Victor
Viola
Walter Wanda Wei Wendy William Xenia Yara Yuki Yusuf Yvonne Zahra Zoe
""".split()

CITIES = [
    "Aachen", "Accra", "Adelaide", "Algiers", "Amsterdam", "Ankara", "Antwerp", "Athens", "Atlanta", "Auckland",
    "Austin",
    "Baku", "Bangkok", "Barcelona", "Basel", "Beijing", "Beirut", "Belgrade", "Bergen", "Berlin", "Bern", "Bogota",
    "Bologna",
    "Bonn", "Boston", "Brisbane", "Brussels", "Bucharest", "Budapest", "Buenos Aires", "Cairo", "Calgary", "Cape Town",
    "Caracas", "Chicago", "Cologne", "Copenhagen", "Cork", "Dakar", "Dallas", "Damascus", "Delhi", "Denver",
    "Detroit", "Dhaka",
    "Dresden", "Dubai", "Dublin", "Edinburgh", "Essen", "Florence", "Frankfurt", "Geneva", "Genoa", "Ghent",
    "Glasgow", "Graz",
    "Hamburg", "Hanoi", "Havana", "Helsinki", "Hong Kong", "Houston", "Istanbul", "Jakarta", "Johannesburg", "Kabul",
    "Kiel",
    "Krakow", "Kyiv", "Kyoto", "Lagos", "Lahore", "Leeds", "Leipzig", "Lille", "Lima", "Lisbon", "Liverpool", "London",
    "Los Angeles", "Lyon", "Madrid", "Malaga", "Manchester", "Manila", "Marseille", "Melbourne", "Mexico City", "Miami",
    "Milan", "Minsk", "Montreal", "Moscow", "Mumbai", "Munich", "Nairobi", "Nantes", "Naples", "New York", "Nice",
    "Odessa",
    "Osaka", "Oslo", "Ottawa", "Oxford", "Palermo", "Paris", "Perth", "Phoenix", "Porto", "Portland", "Prague",
    "Quebec", "Quito",
    "Reykjavik", "Riga", "Rio de Janeiro", "Rome", "Rotterdam", "Salzburg", "San Diego", "San Francisco", "Santiago",
    "Sao Paulo", "Seattle", "Seoul", "Seville", "Shanghai", "Singapore", "Sofia", "Stockholm", "Stuttgart", "Sydney",
    "Taipei",
    "Tallinn", "Tehran", "Tel Aviv", "Tokyo", "Toronto", "Toulouse", "Trieste", "Tunis", "Turin", "Utrecht", "Valencia",
    "Vancouver", "Venice", "Verona", "Vienna", "Vilnius", "Warsaw", "Washington", "Wellington", "York", "Zagreb",
    "Zurich",
]  # fmt: skip

COMMON = """
acorn actor album amber anchor angle ankle apple apron arch arrow artist atlas autumn bacon badge bagel bakery balloon
bamboo banana banjo barrel basket beach beacon bean bear beetle bell bench berry bicycle bird biscuit blanket blossom
boat
bottle boulder branch bread breeze brick bridge broom brush bucket bubble bunny butter button cabin cable cactus cake
camel
camera candle canoe canvas carbon carpet carrot castle cave cedar cellar chair chalk cheese cherry chess chimney cider
cinema circle clay cliff clock cloud clover coast cobra coffee coin comet compass copper coral corner cotton crab crane
crater crayon cricket crown crystal curtain cushion daisy dance desert diamond dolphin door dragon drawer dream drum
dune
eagle echo elbow ember engine envelope falcon farm feather fence fern ferry fiddle field finger flag flame flute forest
fork fossil fountain fox frost garden garlic gate ginger glacier glass globe glove grape gravel guitar hammer harbor
harvest
hawk hazel helmet honey horizon hotel igloo island ivory jacket jaguar jasmine jelly jewel jungle kayak kettle kitchen
kite
kitten ladder lagoon lake lantern laptop lemon letter lighthouse lily linen lizard lobster locket magnet mango maple
marble
market meadow melon metal mirror mitten monkey moon mosaic moss mountain museum mushroom napkin nectar needle nest
noodle
novel nutmeg oasis oak ocean olive onion orbit orchard otter oven owl paddle palace panda paper parrot pasta peach
pebble
pencil pepper piano picnic pillow pine pirate planet plum pocket poem pond poppy potato prism puzzle pumpkin quartz
quilt
rabbit radio raft rainbow raven ribbon rice river robot rocket rope rose ruby saddle salad salmon sand sauce scarf
school
seed shadow shell silk silver sketch sled smoke snail soap sofa soup spark spider spoon spring squirrel star station
stone
storm straw sugar summer sunset swan table tango tea teapot temple thunder ticket tiger timber toast tomato torch tower
trail train treasure tree trumpet tulip tunnel turtle umbrella valley vase velvet village violin volcano wagon walnut
water
whale wheat window winter wizard wolf wool yarn zebra
""".split()

VERBS = """
accept activate adjust analyze apply approve archive arrange assign attach backup ban block book borrow browse build buy
calculate cancel capture change charge check choose clean clear clone close collect compare compose compress compute
configure confirm connect convert copy count create decode delete deliver deploy describe detect disable display
download
draw edit enable encode encrypt estimate evaluate examine execute export extend extract fetch fill filter find fix
format
forward generate get grant import inspect install invite join label launch list load locate lock log lookup make mark
measure
merge monitor move mute notify open order organize pack pause pay pin plan play post predict prepare preview print
process publish pull push query queue rank rate read rebuild record refresh refund register reject release reload remind
remove rename renew rent repair replace report request reserve reset resize resolve restart restore retrieve return
review rotate run save scan schedule search select sell send set share show shuffle sign simulate skip solve sort split
start stop store submit subscribe summarize suspend switch sync tag test toggle track transfer translate trigger turn
unlock
update upgrade upload validate verify view visit watch write
""".split()

NOUNS = """
account address agenda agreement airport alarm alert animal answer apartment appointment archive article asset
attachment
auction audio backup badge balance bank barcode battery bill bond book booking bookmark branch brand budget bug
building bus
cache calendar call camera campaign car card cart catalog category certificate channel chapter chart chat claim class
client
clinic clip code color comment commit company concert contact container contract coupon course crop customer dashboard
data
database deadline deal debt delivery department deposit device diagram dictionary discount disk document domain donation
door driver drone employee engine episode error event exam exchange exercise expense experiment farm fee feed file film
firewall flight folder font form forum fridge fuel gallery game garage garden gate goal grade graph group guest heater
holiday hospital hotel house image index ingredient insurance interview inventory invoice item job joke journal key
kitchen
label lamp language lawyer leak lease lecture lesson letter level library license light link loan location lock log
lottery
machine mail map market match meal medicine meeting member memo menu message meter mission model mortgage movie museum
network news note notebook number object offer office order package page painting parcel park parking part party
passenger passport password patient payment permit phone photo picture plan plant platform player playlist podcast
poem point
policy poll portfolio post poster price printer prize product profile project property quiz quote radio rain rate
receipt recipe record refund region rental report reservation restaurant review reward ride road robot role room route
rule
salary sale sample scene schedule school score screen script season seat sensor server service session setting shelf
shift
ship shop signal site skill slide song sound speaker sport stamp station statistic status stock store story stream
street
student subject survey switch symbol system table tank target task tax taxi team template tenant tender test text
theater
theme thermostat ticket tide tile timer token tool topic tour tournament toy track trade traffic train trainer
transaction
trip truck tutor user vacation vehicle vendor version video visa visitor voice volume vote voucher wallet warehouse
watch
weather website wheel window wire word worker workout workspace zone
""".split()

PARAMETERS = """
account active address age alias amount area artist author base body brand budget capacity category channel city
client code
color comment company content count country currency customer date day deadline deep degree delay depth description
destination detail device dimension direction directory distance domain draft duration email end enabled entry event
factor field file filename filter folder force format frequency genre goal group height hidden host hour identifier
image index input item key keyword kind label language length level limit line location loud mail margin mass max
message
method minutes mode model month name nickname note number object offset option order origin output owner page password
path pattern person phone place platform point port position prefix price priority product profile project public
purpose
quality quantity question range rank rate rating reason recipient recursive reference region repeat result role room
route
sample schedule score section seed sender service shape side silent size sort source speed start state status step
street
style subject suffix symbol table tag target team temperature term text theme threshold time title token topic total
type
unit urgent user username value verbose version visible volume weight width word year zip zone
""".split()
