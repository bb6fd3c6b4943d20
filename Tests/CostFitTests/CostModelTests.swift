import CostFit
import Foundation
import KVMTypes
import Stage2Model
import Testing

/// Values in nanoseconds, and times made of them.
@Suite("Cost model")
struct CostModelTests {
  /// Values that are powers of ten, so that a time shows each amount in its digits.
  static let digits = CostModel(
    name: "digits", source: "a test",
    drivers: [
      .operation: value(1), .hypercall: value(10), .pageState: value(100), .descriptor: value(1000),
      .treeNode: value(10_000), .tablePage: value(100_000), .memcachePage: value(1_000_000),
      .cachePage: value(10_000_000), .tlbInvalidation: value(100_000_000),
      .reschedPoint: value(1_000_000_000),
    ], operations: ["age": value(5), "map": value(7.6)])

  static let work = Stage2Work(
    descriptors: 4, treeNodes: 5, hypercalls: 2, tlbInvalidations: 9, cachePages: 8, pageStates: 3,
    tablePages: 6, memcachePages: 7)

  static func value(_ nanoseconds: Double) -> CostValue {
    CostValue(nanoseconds: nanoseconds, basis: .assumed, source: "a test")
  }

  @Test("A time is the sum of amounts times values")
  func dotProduct() {
    #expect(Self.digits.time(of: Self.work) == Nanoseconds(987_654_320))
    #expect(Self.digits.time(of: Stage2Work()) == Nanoseconds(0))
    #expect(Self.digits.constant(of: "map") == Nanoseconds(8))
    #expect(Self.digits.constant(of: "unmap") == Nanoseconds(1))
    var section = LockSection(.age, mode: .write)
    section.work = Self.work
    section.reschedPoints = 3
    #expect(Self.digits.time(of: section) == Nanoseconds(3_987_654_325))
    section.entryPoint = .userMemAbort
    #expect(Self.digits.time(of: section) == Nanoseconds(3_987_654_321))
  }

  @Test("Every term is counted once, and sums of work cost the sum")
  func terms() {
    #expect(CostDriver.allCases.map { Self.work.amount($0) } == [0, 2, 3, 4, 5, 6, 7, 8, 9, 0])
    let twice = Self.work + Self.work
    #expect(Self.digits.time(of: twice) == Nanoseconds(2 * 987_654_320))
    #expect(twice - Self.work == Self.work)
    var sum = Self.work
    sum += Self.work
    #expect(sum == twice)
  }

  @Test("A term without a value is unknown, not free")
  func unknown() {
    let model = CostModel(name: "little", source: "a test", drivers: [.hypercall: Self.value(500)])
    #expect(model.unknown.count == CostDriver.allCases.count - 1)
    #expect(!model.unknown.contains(.hypercall))
    #expect(model.time(of: Self.work) == Nanoseconds(1000))
    #expect(Self.digits.unknown.isEmpty)
  }

  @Test("The JSON form holds everything")
  func roundTrip() throws {
    var model = Self.digits
    model.quality = CostQuality(
      rSquared: 0.5, checkedRSquared: -0.25, residualDeviation: 12,
      operations: [
        "map": .init(fitted: 10, checked: 20, recorded: Nanoseconds(1000), modelled: Nanoseconds(1100))
      ])
    model.quality?.heldOut = "the second half"
    model.quality?.operations["map"]?.stalledInFit = 1
    model.quality?.operations["map"]?.stalled = 2
    model.quality?.operations["map"]?.stalledTime = Nanoseconds(3)
    model.quality?.operations["map"]?.standardError = 0.25
    model.quality?.operations["map"]?.drift = -0.5
    model.quality?.operations["map"]?.ownError = 0.75
    model.quality?.operations["map"]?.equalWorkShare = 0.875
    model.interleavedQuality = model.quality
    model.interleavedQuality?.operations["map"]?.stalled = 4
    let data = try JSONEncoder().encode(model)
    #expect(try JSONDecoder().decode(CostModel.self, from: data) == model)
    let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    #expect(object["schemaVersion"] as? Int == 1)
    let hypercall = (object["drivers"] as? [String: [String: Any]])?["hypercall"]
    #expect(hypercall?["ns"] as? Double == 10)
    #expect(hypercall?["basis"] as? String == "assumed")
    let quality = (object["quality"] as? [String: Any])?["operations"] as? [String: [String: Any]]
    #expect((quality?["map"]?["relativeError"] as? Double).map { abs($0 - 0.1) < 1e-12 } == true)
  }

  @Test(
    "A file that cannot be meant is refused",
    arguments: [
      #"{"schemaVersion": 2, "name": "x", "drivers": {}}"#, #"{"name": "x", "drivers": {}}"#,
      #"{"schemaVersion": 1, "name": "x", "drivers": {"hypercal": {"ns": 1}}}"#,
      #"{"schemaVersion": 1, "name": "x", "drivers": {"hypercall": {"ns": -1}}}"#,
      #"{"schemaVersion": 1, "name": "x", "drivers": {"hypercall": {"ns": 1, "basis": "guessed"}}}"#,
      #"{"schemaVersion": 1, "name": "x", "drivers": {"hypercall": {}}}"#,
    ])
  func refused(text: String) {
    #expect(throws: DecodingError.self) { try JSONDecoder().decode(CostModel.self, from: Data(text.utf8)) }
  }

  @Test("A file by hand needs no more than names and values")
  func byHand() throws {
    let text = #"{"schemaVersion": 1, "name": "x", "drivers": {"hypercall": {"ns": 600}}}"#
    let model = try JSONDecoder().decode(CostModel.self, from: Data(text.utf8))
    #expect(model.time(of: Self.work) == Nanoseconds(1200))
    #expect(model.drivers[.hypercall]?.basis == .assumed)
  }

  @Test("Built-in sets say that they are assumed, and why each value is")
  func builtIn() throws {
    for model in CostModel.builtIn {
      #expect(model.name.hasPrefix("assumed"))
      #expect(model.unknown.isEmpty && model.quality == nil)
      #expect(model.drivers.values.allSatisfy { $0.basis == .assumed && !$0.source.isEmpty })
      #expect(CostModel.builtIn(named: model.name) == model)
    }
    #expect(CostModel.builtIn(named: "measured") == nil)
    // The commit's figures: 700 us and 100 us for the 512 pages of a block.
    let block = Stage2Work(cachePages: 512)
    #expect(CostModel.assumed.time(of: block) == Nanoseconds(700_000))
    #expect(CostModel.assumedPMDFixmap.time(of: block) == Nanoseconds(100_000))
  }

  @Test("Times beyond the clock stop at its range")
  func saturation() {
    let dear = CostModel(name: "dear", source: "a test", drivers: [.hypercall: Self.value(1e30)])
    #expect(dear.time(of: Self.work) == Nanoseconds(1 << 63))
  }
}
