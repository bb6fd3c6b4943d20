import CostFit
import KVMTypes
import Stage2Model
import Testing

/// Times of a known model, with noise, back to that model.
@Suite("Calibration")
struct CalibrationTests {
  static func value(_ nanoseconds: Double) -> CostValue {
    CostValue(nanoseconds: nanoseconds, basis: .assumed, source: "the truth of a test")
  }

  static let truth = CostModel(
    name: "truth", source: "a test",
    drivers: [
      .hypercall: value(900), .pageState: value(12), .descriptor: value(15), .treeNode: value(40),
      .tablePage: value(700), .memcachePage: value(2500), .cachePage: value(300),
      .tlbInvalidation: value(1500),
    ], operations: ["map": value(800), "unmap": value(400)])

  /// Work such as maps and unmaps do, each amount with a life of its own.
  static func sample(_ random: inout Random) -> (operation: Int, work: Stage2Work) {
    if random.below(2) == 0 {
      let isBlock = random.below(10) == 0
      return (
        0,
        Stage2Work(
          descriptors: 3 + random.below(4), treeNodes: random.below(18), hypercalls: 1 + random.below(3),
          tlbInvalidations: random.below(2), cachePages: isBlock ? 512 : random.below(2),
          pageStates: isBlock ? 512 : 1 + random.below(4), tablePages: random.below(3),
          memcachePages: random.below(4))
      )
    }
    let mappings = random.below(30)
    return (
      1,
      Stage2Work(
        descriptors: 4 * mappings, treeNodes: 20 + random.below(20) * mappings, hypercalls: mappings,
        tlbInvalidations: mappings, pageStates: mappings + random.below(100))
    )
  }

  @Test("The values come back, and the totals of the other half are right")
  func recovers() throws {
    var random = Random(11)
    var calibration = CostCalibration(operations: ["map", "unmap", "wrprotect"])
    for index in 0..<4000 {
      let (operation, work) = Self.sample(&random)
      let time = Double(
        (Self.truth.time(of: work) + Self.truth.constant(of: ["map", "unmap"][operation])).rawValue)
      let noisy = max(0, time + 100 * random.noise())
      calibration.add(
        operation, work, time: Nanoseconds(UInt64(noisy)), for: index < 2000 ? .fit : .check)
    }
    let model = calibration.model(name: "fit", source: "a test")
    for driver in CostDriver.allCases {
      guard let expected = Self.truth.drivers[driver] else {
        #expect(model.drivers[driver] == nil, "nothing was said about \(driver)")
        continue
      }
      let found = try #require(model.drivers[driver])
      let error = try #require(found.standardError)
      // One of the 10 values is off by 5 standard errors in 200,000 tries.
      #expect(
        abs(found.nanoseconds - expected.nanoseconds) < 5 * error, "\(driver): \(found) for \(expected)")
      #expect(found.basis == .modelled)
    }
    #expect(model.operations["wrprotect"] == nil)
    let quality = try #require(model.quality)
    #expect(Set(quality.operations.keys) == ["map", "unmap"])
    for operation in quality.operations.values {
      #expect(operation.fitted > 900 && operation.checked > 900)
      #expect(abs(try #require(operation.relativeError)) < 0.01)
    }
    #expect(abs(try #require(quality.total.relativeError)) < 0.01)
    #expect(try #require(quality.rSquared) > 0.99)
    #expect(try #require(quality.checkedRSquared) > 0.99)
  }

  @Test("The error on the other half is that of the other half")
  func heldOutError() throws {
    var calibration = CostCalibration(operations: ["map"])
    for _ in 0..<10 { calibration.add(0, Stage2Work(), time: Nanoseconds(100), for: .fit) }
    for time in [150, 250] as [UInt64] {
      calibration.add(0, Stage2Work(), time: Nanoseconds(time), for: .check)
    }
    let model = calibration.model(name: "fit", source: "a test")
    #expect(model.constant(of: "map") == Nanoseconds(100))
    let map = try #require(model.quality?.operations["map"])
    #expect(map.fitted == 10 && map.checked == 2)
    #expect(map.recorded == Nanoseconds(400))
    #expect(map.modelled == Nanoseconds(200))
    #expect(map.relativeError == -0.5)
    // Variance 5000; the constant 100 leaves 2500 + 22500.
    #expect(model.quality?.checkedRSquared.map { abs($0 - (1 - 25_000.0 / 5000)) < 1e-9 } == true)
  }

  @Test("Terms that the times cannot tell apart are called so")
  func dependent() throws {
    var random = Random(3)
    var calibration = CostCalibration(operations: ["map"])
    for _ in 0..<100 {
      let calls = 1 + random.below(5)
      // Each hypercall changes the state of one page, always.
      calibration.add(
        0, Stage2Work(hypercalls: calls, pageStates: calls), time: Nanoseconds(UInt64(1000 * calls)),
        for: .fit)
    }
    let model = calibration.model(name: "fit", source: "a test")
    let values = try [CostDriver.hypercall, .pageState].map { try #require(model.drivers[$0]) }
    #expect(abs(values[0].nanoseconds + values[1].nanoseconds - 1000) < 1e-6)
    #expect(values.count { $0.source.contains("not told from other terms") } == 1)
  }

  @Test("A term that few calls have is unknown, and those calls do not spoil the others")
  func fewCalls() {
    func model(_ invalidations: Int) -> CostModel {
      var calibration = CostCalibration(operations: ["unmap"])
      for _ in 0..<50 { calibration.add(0, Stage2Work(), time: Nanoseconds(100), for: .fit) }
      for _ in 0..<invalidations {
        calibration.add(0, Stage2Work(tlbInvalidations: 1), time: Nanoseconds(700), for: .fit)
      }
      return calibration.model(name: "fit", source: "a test")
    }
    #expect(model(4).drivers[.tlbInvalidation] == nil)
    #expect(model(4).constant(of: "unmap") == Nanoseconds(100))
    #expect(model(5).drivers[.tlbInvalidation].map { abs($0.nanoseconds - 600) < 1e-6 } == true)
  }

  @Test("Resched points are a term")
  func reschedPoints() throws {
    var calibration = CostCalibration(operations: ["unmap"])
    for points in 0..<20 {
      calibration.add(
        0, Stage2Work(), reschedPoints: points, time: Nanoseconds(UInt64(100 + 50 * points)), for: .fit)
    }
    let model = calibration.model(name: "fit", source: "a test")
    #expect(abs(try #require(model.drivers[.reschedPoint]?.nanoseconds) - 50) < 1e-6)
    #expect(model.constant(of: "unmap") == Nanoseconds(100))
  }
}
