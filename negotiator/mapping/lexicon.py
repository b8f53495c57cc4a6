"""What words of schemas mean: nearness of meaning, opposites, and units.

A general vocabulary of what programs exchange (places, times, money, people, trips, goods, media, measures),
written by hand. English words are listed in any form; they are stemmed on loading. Chinese words stand as they
are.
"""

from typing import Final

CONCEPTS: Final = """
city: city town municipality locality locale~0.6 location~0.6 place~0.3 area~0.6 urban metro~0.5 region~0.4 destination~0.2 市 城市 地点~0.5
place: place location area site spot venue~0.7 whereabouts situated~0.7 located~0.7 position locale region~0.6 where~0.7 locality~0.6 destination~0.4 point~0.5 landmark~0.4 ground~0.3 地点 位置 地方
venue: venue stadium arena hall~0.7 facility ground~0.7 theater~0.4 club~0.4 place~0.6 location~0.5 site~0.5 where~0.5 场馆
address: address street~0.9 mailing~0.7 location~0.4 exact~0.4 physical~0.6 road~0.7 addr whereabouts~0.5 residence~0.3 navigable~0.5 directions~0.6 premises~0.4 premise~0.4 地址 街道~0.8
country: country nation state~0.4 国家
state: state province region~0.5 county~0.5 省 州
postcode: zip zipcode postcode postal plz 邮编 邮政编码
latitude: latitude lat 纬度
longitude: longitude lon lng long~0.4 经度
home: home house apartment property~0.8 residence unit~0.5 flat condo building~0.6 housing complex~0.6 dwelling estate~0.5 homestead villa~0.6 lodging~0.4 accommodation~0.4 place~0.2
lodging: hotel lodging accommodation inn hostel resort guesthouse motel stay~0.5 lobby~0.4 酒店 宾馆 旅馆
room: room bedroom~0.7 suite chamber~0.5 房间
bedroom: bedroom bed bedchamber sleeping~0.8 room~0.5
bathroom: bathroom bath restroom toilet lavatory washroom
laundry: laundry washer dryer laundromat washing~0.6
furnished: furnished furniture furnishing
pet: pet animal dog cat
smoking: smoking smoke smoker 吸烟
wifi: wifi wireless internet hotspot~0.6 fi wi
parking: parking park~0.5 garage 停车
name: name title~0.8 called~0.6 label~0.6 caption~0.6 headline~0.6 alias~0.7 known~0.5 who~0.4 whom~0.4 identifier~0.3 named designation~0.5 名称 名字 姓名 标题~0.8
title: title name~0.5 caption headline heading label~0.7 subject~0.6 标题 题目
business: business establishment company firm organisation organization vendor merchant shop~0.6 store~0.6 provider~0.4 brand~0.5 公司 商家 企业
phone: phone telephone contact~0.7 call~0.8 cell mobile landline tel reachable~0.5 reach~0.3 line~0.3 inquiries~0.3 电话 手机 联系~0.7
contact: contact info~0.5 information~0.4 phone~0.5 email~0.4 reach~0.5
email: email mail~0.7 邮箱 电子邮件
url: url link website web homepage uri site~0.4 webpage 网址 链接
number: number count~0.6 no~0.4 num digit~0.5 amount~0.3 amt~0.3 号 号码
count: count quantity number~0.6 amount~0.6 amt~0.6 total~0.5 many many~0.9 qty size~0.5 sum~0.3 integer~0.5 num~0.6 数量 个数 人数~0.7
people: people person guest passenger traveler traveller rider diner party~0.8 adult customer~0.6 visitor~0.6 attendee group~0.6 flyer~0.7 user~0.4 occupant headcount folk pax human~0.5 patron 人 乘客 客人 旅客
ticket: ticket seat~0.7 admission~0.7 pass~0.4 spot~0.4 booking~0.2 票
seat: seat seating table~0.4 spot~0.4 chair 座位
price: price cost fare~0.9 charge~0.8 fee~0.8 rate~0.5 pricing amount~0.4 expense due~0.6 payment~0.6 pay~0.6 rent~0.5 expensive~0.7 total~0.3 rental~0.1 spend~0.5 tariff quote~0.4 sum~0.3 balance~0.2 value~0.3 bill~0.5 much~0.4 价格 费用 票价 金额~0.6
money: money fund cash amount~0.6 sum~0.6 balance~0.5 payment~0.4 financial~0.5 currency~0.5 amt~0.6 transfer~0.2 钱 金额
rent: rent monthly~0.6 lease~0.7 tenancy~0.5 leasing~0.6 租金
balance: balance available~0.3 fund~0.5 stored~0.3 current~0.3 余额
currency: currency 货币 币种
tax: tax vat duty~0.5 税
discount: discount rebate coupon~0.7 promo~0.6 voucher~0.6 折扣 优惠
total: total overall sum all~0.4 aggregate~0.6 full~0.4 inclusive~0.6 incl~0.5 grand~0.4 合计 总
range: range bracket band level~0.3
rating: rating star score review~0.8 grade rank~0.6 rated aggregate~0.3 average~0.4 satisfaction~0.5 评分 评级 星级
average: average mean typical~0.6 typically~0.6 averaged general~0.3 approximate~0.3 平均
date: date day~0.7 calendar~0.5 month~0.4 when~0.4 scheduled~0.2 year~0.2 dates 日期 日子~0.7 天~0.3
day: day daily date~0.6 days 天 日
time: time hour~0.7 clock~0.7 when~0.4 eta~0.7 moment~0.7 o'clock timestamp~0.6 schedule~0.3 times showtime~0.8 timing starts~0.2 minute~0.4 时间 时刻
month: month monthly 月 月份
week: week weekly weekday~0.6 周
year: year annual yearly vintage~0.4 年 年份
duration: duration length long~0.6 period span lasting~0.7 total~0.1 days~0.4 nights~0.4 hours~0.3 term~0.4 时长 期间
night: night overnight nightly redeye~0.5 evening~0.5 晚
wait: wait waiting standby eta~0.8 delay~0.6 queue~0.5 arrival~0.2
schedule: schedule scheduled plan~0.6 planned~0.6 appointment~0.4 slot~0.4 calendar~0.4 timetable
event: event occasion occurrence happening~0.7 concert~0.5 game~0.5 show~0.4 performance~0.5 match~0.4 活动 事件
subtype: subcategory subtype subdivision subclass finer~0.7 grained~0.6 subgenre sub~0.7 subcat specific~0.4
category: category type kind genre~0.7 class~0.7 classification variety style~0.5 sort~0.6 categorization subcategory~0.5 subtype~0.5 varieties mode~0.3 section~0.3 类别 类型 种类
genre: genre style~0.6 category~0.6 type~0.5 kind~0.5 流派
class: class cabin~0.6 tier~0.5 grade~0.5 category~0.5 level~0.4 舱位 等级
size: size dimension capacity~0.6 big~0.5 large~0.5 大小 尺寸
weight: weight mass heavy~0.6 重量
height: height tall altitude~0.5 elevation~0.5 高度
width: width wide 宽度
depth: depth deep 深度
distance: distance far~0.7 mileage range~0.3 proximity~0.5 距离
color: color colour hue~0.6 颜色
material: material fabric~0.6 材料
model: model make~0.6 version~0.4 brand~0.4 name~0.2 型号
version: version release~0.5 revision 版本
identifier: id identifier key~0.6 code~0.6 reference~0.6 ref~0.6 uuid guid number~0.3 编号 标识
code: code symbol~0.6 abbreviation~0.6 iata~0.6 代码
booking: booking reservation book~0.8 reserve reserved booked order~0.5 purchase~0.4 预订 预约~0.8
order: order purchase buy~0.7 bought~0.7 订单
product: product item article~0.6 good~0.3 goods merchandise sku~0.5 商品 产品
purchase: purchase buy order~0.6 acquire~0.5 buying
appointment: appointment visit~0.8 consultation~0.8 appt session~0.6 meeting~0.6 consult tour~0.4 viewing~0.5 预约
visit: visit viewing~0.8 tour~0.6 visitation appointment~0.5 see~0.3
trip: trip journey itinerary travel ride~0.6 tour~0.4 voyage route~0.5 flight~0.4 leg~0.4 行程 旅程
flight: flight airline~0.4 plane air~0.4 flying~0.7 fly~0.7 航班
airline: airline carrier airways operator~0.5 operating~0.4 company~0.4 flight~0.2 航空公司
airport: airport terminal~0.4 aerodrome 机场
bus: bus coach transit~0.5 公交 巴士
train: train rail railway 火车 列车
car: car vehicle auto automobile rental~0.2 车 汽车
cab: cab taxi ride~0.6 rideshare driver~0.4 出租车
ride: ride trip~0.5 cab~0.4 carpool~0.5
shared: shared share sharing pool~0.7 pooling others~0.6 carpool together~0.5 simultaneously~0.4
station: station terminal~0.8 terminus stop~0.5 depot~0.6 metro~0.3 platform~0.4 building~0.2 车站 站
stop: stop layover stopover transfer~0.7 connection~0.7 transit~0.4 change~0.5 changes~0.5 direct~0.5 nonstop 经停 中转
transfer: transfer connection~0.6 stop~0.5 change~0.5 send~0.6 sent~0.6 sending~0.6 receive~0.3 转账 换乘
baggage: baggage luggage bag~0.7 checked~0.3 carry~0.3 行李
refund: refund refundable money~0.1 cancel~0.4 cancellation~0.4 退款
insurance: insurance coverage~0.5 insured 保险
account: account acct bank~0.5 holder~0.4 profile~0.4 账户 账号
bank: bank account~0.4 savings~0.4 checking~0.4 银行
recipient: recipient receiver beneficiary payee receive receiving addressee whom~0.3 owner~0.2 receives 收款人 收件人
sender: sender payer from~0.2 originator 发件人
song: song track music~0.4 tune composition~0.6 recording~0.5 歌曲
music: music song~0.4 musical tune~0.5 audio~0.4 音乐
album: album collection~0.6 lp ep record~0.6 专辑
artist: artist performer musician singer~0.9 band~0.7 composer~0.7 vocalist player~0.3 sung~0.5 performed~0.5 artists 艺术家 歌手
author: author writer written~0.6 creator~0.5 作者
movie: movie film cinema~0.3 feature~0.4 picture~0.4 motion~0.5 video~0.5 show~0.3 media~0.5 content~0.2 电影 影片
theater: theater theatre cinema hall~0.5 house~0.2 screen~0.2 影院
show: show screening showing showtime~0.7 performance~0.6 presentation~0.5 screened played~0.2 playing~0.4 场次
screen: screen visuals~0.7 display~0.6 format~0.4 technology~0.5 imax presentation~0.4
director: director directed filmmaker directing direct~0.3 导演
actor: actor cast starring actress star~0.4 acted 演员 主演
subtitle: subtitle caption~0.6 language~0.4 cc~0.4 字幕
language: language lang~0.8 spoken~0.4 语言
device: device player~0.7 speaker~0.6 hardware gadget output~0.4 system~0.4 tv~0.5 equipment~0.6 machine~0.5 设备
release: release released year~0.4 came~0.3 aired~0.6 issued~0.5 made~0.3 appeared~0.5 上映 发行
sport: sport game~0.5 match~0.5 team~0.4 体育
team: team club~0.6 performer~0.3 player~0.4 squad 球队
restaurant: restaurant eatery dining~0.7 cafe diner~0.4 food~0.3 eat~0.6 menu~0.4 餐厅 饭店
food: food cuisine~0.8 meal~0.7 menu~0.5 dish cooking~0.6 served~0.3 eat~0.5 dining~0.3 菜 食物
cuisine: cuisine food~0.7 cooking~0.7 culinary dish~0.5 ethnicity~0.3 菜系
alcohol: alcohol alcoholic bar~0.6 beverage~0.6 wine~0.7 liquor~0.9 drink~0.7 beer~0.7
vegetarian: vegetarian vegan~0.8 meatless veggie
outdoor: outdoor outside outdoors patio~0.8 terrace~0.8 alfresco open~0.2
live: live entertainment~0.5 performance~0.4
doctor: doctor physician dentist~0.5 practitioner provider~0.5 specialist~0.5 medical~0.5 therapist~0.5 clinician healthcare~0.4 医生
dentist: dentist dental dentistry doctor~0.4 provider~0.4
salon: salon stylist hairdresser hair~0.6 hairdressing barber beauty~0.5 styling
provider: provider supplier vendor~0.7 practice~0.5 professional~0.4 practitioner~0.6 服务商
specialty: specialty speciality specialization specialist~0.6 field~0.4 expertise type~0.2 专科
cosmetic: cosmetic aesthetic
insurer: insurer medicaid medicare
unisex: unisex gender sexes sex~0.7 male~0.5 female~0.5
attraction: attraction landmark~0.6 sight~0.7 sightseeing tourist~0.6 hotspot~0.3 interest~0.4 museum~0.4 景点
free: free charge~0.3 complimentary gratis cost~0.2 no~0.2 免费
entry: entry entrance admission get~0.2 enter~0.7 visit~0.2 入场
kid: kid child children family~0.5 kidfriendly 儿童 孩子
friendly: friendly suitable allowed~0.4 good~0.5 welcome~0.6 appropriate acceptable~0.5 proper~0.4
allowed: allowed permitted allow acceptable~0.8 welcome~0.7 permit friendly~0.5 can~0.3 bring~0.5 允许
available: available availability offer~0.4 offered~0.4 has~0.2 presence~0.5 open~0.3 free~0.3 可用
served: serve served offers~0.5 provides~0.5 available~0.4
weather: weather forecast climate 天气
temperature: temperature temp fahrenheit~0.8 celsius~0.8 degree~0.7 hot~0.6 warm~0.5 cold~0.5 温度 气温
humidity: humidity humid moisture~0.8 湿度
wind: wind breeze windy gust 风 风速
rain: rain precipitation rainfall sleet~0.7 snow~0.5 shower~0.4 降雨 降水
pressure: pressure barometric 气压
percent: percent percentage pct chance~0.6 probability~0.6 likelihood~0.6 share~0.3 ratio~0.4 百分比
chance: chance probability likelihood possibility odds percentage~0.6 likely~0.8 概率
speed: speed velocity mph~0.8 kmh~0.8 fast~0.6 速度
alarm: alarm alert~0.6 wake~0.5 reminder~0.6 notification~0.5 闹钟
message: message text~0.5 note~0.5 content~0.5 body~0.6 消息
description: description summary~0.6 details~0.6 note~0.6 remark~0.7 comment~0.6 text~0.4 explanation~0.5 info~0.4 about~0.3 描述 说明 备注~0.6
comment: comment remark note feedback~0.6 review~0.3 备注 评论
status: status state~0.7 condition~0.5 phase~0.5 stage~0.5 progress~0.5 状态
reason: reason cause why purpose~0.6 原因
gender: gender sex 性别
age: age old~0.3 年龄
birth: birth birthday born dob 出生
first: first given forename initial~0.5 名
last: last surname family~0.6 姓
user: user customer client member~0.6 account~0.3 buyer~0.6 subscriber~0.7 用户 客户
owner: owner holder possessor proprietor 所有者
employee: employee staff worker~0.8 personnel 员工
job: job position~0.6 occupation role~0.6 profession work~0.5 职位
salary: salary wage pay~0.6 income~0.7 compensation~0.7 工资
limit: limit max~0.5 maximum~0.5 cap~0.6 top~0.2 限制
page: page offset~0.5 页
query: query search keyword~0.6 term~0.4 q~0.6 lookup~0.5 find~0.3 查询 关键词
sort: sort order~0.6 ordering ranking~0.4 排序
beginning: start begin beginning starting starts begins opening~0.7 opens~0.7 commence from~0.3 first~0.5 onset since~0.5 onwards~0.6 initial~0.6 开始 起始
ending: end ending finish final~0.6 conclude close~0.5 closing~0.5 until~0.8 till~0.8 expiry~0.6 expires~0.6 complete~0.3 last~0.4 stop~0.2 to~0.2 结束 截止
leaving: leave leaving departure depart departing origin~0.6 originating~0.7 outbound~0.5 from~0.5 takeoff~0.7 exit~0.5 source~0.5 starting~0.4 boarding~0.6 出发 始发 起飞
arriving: arrival arrive arriving destination~0.6 reach~0.8 reaching~0.8 landing~0.8 land~0.7 going~0.5 to~0.3 goes~0.5 headed~0.7 target~0.5 terminus~0.3 inbound~0.2 到达 目的地 抵达
returning: return returning back inbound~0.6 homeward~0.7 second~0.3 返回 返程 回程
dropoff: dropoff return~0.5 drop~0.6 bring~0.5 back~0.4 end~0.3 还车
checkin: checkin arrival~0.4 start~0.4 begin~0.4 stay~0.3 入住
checkout: checkout departure~0.3 end~0.4 vacate vacating evacuation~0.6 leave~0.3 退房
deadline: deadline due expiry~0.5 limit~0.3 by~0.2 截止
priority: priority urgency importance~0.8 urgent~0.8 优先级
task: task todo job~0.3 assignment~0.6 issue~0.5 任务
project: project workspace~0.4 项目
customer: customer client buyer~0.7 guest~0.4 patron~0.6 shopper 客户 顾客
nationality: nationality citizenship country~0.4 国籍
passport: passport document~0.3 护照
platform: platform track~0.3 gate~0.4 站台
gate: gate terminal~0.3 登机口
route: route line~0.5 path~0.5 way~0.3 路线
fuel: fuel gas~0.6 petrol diesel~0.7 gasoline 燃料
engine: engine motor 发动机
visibility: visibility sight~0.3 能见度
cloud: cloud cloudiness overcast~0.7 cloudy 云
sunrise: sunrise dawn 日出
sunset: sunset dusk 日落
snow: snow snowfall 雪
condition: condition weather~0.4 state~0.4 summary~0.4 天气
symptom: symptom complaint~0.6 症状
medicine: medicine drug medication prescription~0.7 药
dose: dose dosage 剂量
diagnosis: diagnosis disease~0.6 condition~0.4 诊断
ingredient: ingredient component~0.5 原料
calorie: calorie energy~0.5 kcal 热量
recipe: recipe dish~0.5 菜谱
teacher: teacher instructor tutor lecturer professor 老师
student: student pupil learner 学生
course: course lesson~0.7 subject~0.5 lecture~0.6 class~0.4 课程
grade: grade mark~0.7 score~0.6 成绩
school: school college~0.7 university~0.7 campus~0.5 学校
publisher: publisher press~0.5 label~0.3 出版社
chapter: chapter section~0.6 章
content: content body~0.6 text~0.6 message~0.4 内容
language_level: fluency proficiency
method: method way~0.5 mode~0.6 approach~0.5 means~0.5 方式
warehouse: warehouse depot~0.6 storage~0.5 仓库
tracking: tracking track~0.5 trace~0.6 物流
invoice: invoice bill~0.8 receipt~0.6 发票
interest: interest apr~0.7 yield~0.4 利率
loan: loan credit~0.5 mortgage~0.7 debt~0.5 贷款
card: card credit~0.3 debit~0.4 卡
enabled: enabled active~0.8 on~0.3 activated turned~0.4 启用
created: created creation made~0.4 创建
updated: updated modified changed~0.6 update modification 更新 修改
deleted: deleted removed 删除
file: file document~0.6 attachment~0.6 文件
image: image picture photo~0.9 img icon~0.5 thumbnail~0.6 图片
stock: stock inventory~0.9 supply~0.4 库存
delivery: delivery shipping shipment deliver~0.9 dispatch~0.6 配送 送货
quantity: quantity qty amount~0.6 number~0.4 count~0.7 units~0.4 数量
vehicle: vehicle car~0.8 auto automobile truck~0.5 transport~0.4
passenger: passenger traveler~0.8 rider~0.8 flyer~0.8
pickup: pickup collect~0.7 collection~0.3 pick~0.6 picked~0.6 取车 接
calendar: calendar agenda~0.8 diary~0.6 日历
slot: slot window~0.5 free~0.2 available~0.3
play: play playback stream~0.6 listen~0.6 watch~0.4 播放
""".strip()
"""A concept a line; a word's number says how near it is to the concept (1 where there is none)."""

OPPOSITES: Final = """
origin: origin source starting start~0.6 departure departing depart leaving leave begin~0.5 beginning first~0.4 from outbound~0.2 takeoff initial~0.6 originating home~0.1 boarding board pickup~0.6 came~0.2 出发 起点 始发
origin: destination target end~0.6 ending arrival arriving arrive going reach~0.6 reached final~0.7 to last~0.4 landing land terminus~0.3 dropoff~0.6 headed heading reaching disembark into~0.3 goes 到达 目的 终点
leg: outbound onward first~0.4 outgoing initial~0.3 去程 origin~0.2
leg: inbound return returning back~0.8 second~0.5 homeward returns 回程 返程
bound: start starting begin beginning from pickup~0.8 checkin opening~0.7 since after first~0.5 earliest starts begins onwards open~0.4 opens release~0.1 开始 入住 起始
bound: end ending finish until~0.9 till dropoff~0.8 checkout closing~0.7 before~0.5 last~0.5 latest return~0.6 ends evacuation vacating leave~0.3 back~0.4 conclude due~0.2 drop~0.6 结束 退房 截止
extreme: min minimum least lowest floor~0.4 low smallest cheapest 最小 最低
extreme: max maximum most~0.6 highest ceiling~0.4 high largest upper 最大 最高
party: sender payer from~0.2 own~0.5 user~0.2 your~0.2 my~0.3 汇款人
party: recipient receiver beneficiary payee receiving whom~0.5 receive recipients 收款人
freshness: new updated another~0.4 additional~0.6 added~0.5 next~0.4 replacement 新
freshness: old previous former existing~0.6 current~0.6 before~0.5 already~0.6 旧
way: in inlet input incoming 输入
way: out outlet output outgoing 输出
door: indoor inside interior
door: outdoor outside exterior outdoors
direction: buy bid purchase~0.4
direction: sell ask~0.5 sale~0.4
parent: adult grown
parent: child kid children infant
name_part: first given forename 名
name_part: last surname family 姓
amount: gross
amount: net
""".strip()
"""Two lines of one name are the two ends of one axis."""

UNIT_WORDS: Final = """
celsius: celsius centigrade °c ℃ degc 摄氏度 摄氏
fahrenheit: fahrenheit °f ℉ degf 华氏度 华氏
kelvin: kelvin
metre: metre meter metres meters 米
kilometre: kilometre kilometer kilometres kilometers km kms 公里 千米
centimetre: centimetre centimeter cm centimetres centimeters 厘米
millimetre: millimetre millimeter mm millimetres millimeters 毫米
mile: mile miles mi 英里
nautical_mile: nmi
yard: yard yards yd
foot: foot feet ft 英尺
inch: inch inches 英寸
kilogram: kilogram kilograms kg kgs kilo kilos 公斤 千克
gram: gram grams gr 克
tonne: tonne tonnes
pound: lb lbs pounds
ounce: ounce ounces oz
second: seconds secs 秒
millisecond: millisecond milliseconds ms msec millis 毫秒
minute: minutes mins minute 分钟
hour: hours hrs hour hr 小时
day: days 天数
week: weeks 周数
metre_per_second: mps
kilometre_per_hour: kmh kph kmph 公里每小时
mile_per_hour: mph
knot: knot knots kn kts
pascal: pascal pascals
hectopascal: hpa hectopascal hectopascals millibar millibars mbar
litre: litre liter litres liters 升
millilitre: millilitre milliliter ml millilitres milliliters 毫升
gallon: gallon gallons
byte: bytes
kilobyte: kb kilobytes kilobyte
megabyte: mb megabytes megabyte
gigabyte: gb gigabytes gigabyte
percent: percent percentage pct % 百分比
fraction: fraction
usd: usd dollar dollars $ us$ 美元
eur: eur euro euros € 欧元
gbp: gbp sterling £ 英镑
jpy: jpy yen 日元
cny: cny rmb yuan 人民币
inr: inr rupee rupees
cent: cents
""".strip()
"""Words by which a name or description states its unit. Units without a conversion only ever match themselves."""

ABBREVIATIONS: Final = {
    "acct": "account",
    "addr": "address",
    "amt": "amount",
    "appt": "appointment",
    "apt": "apartment",
    "arr": "arrival",
    "avg": "average",
    "cat": "category",
    "cnt": "count",
    "ctry": "country",
    "cust": "customer",
    "dep": "departure",
    "dept": "departure",
    "desc": "description",
    "dest": "destination",
    "dob": "birth",
    "dt": "date",
    "dur": "duration",
    "info": "information",
    "loc": "location",
    "max": "maximum",
    "min": "minimum",
    "msg": "message",
    "nbr": "number",
    "nr": "number",
    "num": "number",
    "org": "organization",
    "orig": "origin",
    "pax": "passenger",
    "pct": "percent",
    "pct.": "percent",
    "prc": "price",
    "qty": "quantity",
    "rcpt": "recipient",
    "ref": "reference",
    "res": "reservation",
    "rsv": "reservation",
    "src": "source",
    "st": "street",
    "subcat": "subcategory",
    "tel": "phone",
    "temp": "temperature",
    "tix": "ticket",
    "tkt": "ticket",
    "tm": "time",
    "usr": "user",
    "yr": "year",
}

STOPWORDS: Final = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "for",
        "in",
        "on",
        "at",
        "by",
        "with",
        "and",
        "or",
        "is",
        "are",
        "be",
        "was",
        "were",
        "been",
        "being",
        "will",
        "would",
        "should",
        "could",
        "can",
        "may",
        "might",
        "do",
        "does",
        "did",
        "has",
        "have",
        "had",
        "this",
        "that",
        "these",
        "those",
        "it",
        "its",
        "as",
        "if",
        "whether",
        "which",
        "what",
        "who",
        "whom",
        "whose",
        "where",
        "when",
        "how",
        "s",
        "t",
        "you",
        "your",
        "yours",
        "they",
        "their",
        "them",
        "he",
        "she",
        "his",
        "her",
        "i",
        "me",
        "my",
        "we",
        "our",
        "us",
        "there",
        "here",
        "not",
        "no",
        "yes",
        "flag",
        "boolean",
        "bool",
        "indicating",
        "indicates",
        "field",
        "value",
        "string",
        "given",
        "specified",
        "particular",
        "e",
        "g",
        "etc",
        "i.e",
        "per",
        "than",
        "then",
        "so",
        "such",
        "any",
        "some",
        "each",
        "want",
        "wants",
        "wanted",
        "desired",
        "need",
        "needed",
        "like",
        "please",
        "ll",
        "about",
        "into",
        "within",
        "while",
        "during",
        "你",
        "的",
        "是",
        "否",
        "和",
        "或",
        "了",
    ]
)
"""Words that say little; they count for a tenth."""
