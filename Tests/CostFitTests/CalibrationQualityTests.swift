import CostFit
import KVMTypes
import Stage2Model
import Testing

/// What a calibration says of itself: stalls, chance, and whose fault an error is.
@Suite("Quality of a calibration")
struct CalibrationQualityTests {
  static func map(
    fitted: [(Stage2Work, UInt64)], checked: [(Stage2Work, UInt64)]
  ) throws -> (model: CostModel, map: CostQuality.Operation) {
    var calibration = CostCalibration(operations: ["map"])
    for (work, time) in fitted { calibration.add(0, work, time: Nanoseconds(time), for: .fit) }
    for (work, time) in checked { calibration.add(0, work, time: Nanoseconds(time), for: .check) }
    let model = calibration.model(name: "fit", source: "a test")
    return (model, try #require(model.quality?.operations["map"]))
  }

  static func calls(_ times: [UInt64], _ work: Stage2Work = Stage2Work()) -> [(Stage2Work, UInt64)] {
    times.map { (work, $0) }
  }

  @Test("Calls that stalled are counted by themselves")
  func stalls() throws {
    let usual = Array(repeating: 100 as UInt64, count: 20)
    let (model, map) = try Self.map(
      fitted: Self.calls(usual + [1001]), checked: Self.calls(usual + [1000, 5000, 7000]))
    #expect(model.constant(of: "map") == Nanoseconds(100))
    #expect(map.fitted == 20 && map.stalledInFit == 1)
    // Ten times as long as expected is not yet a stall.
    #expect(map.checked == 21 && map.recorded == Nanoseconds(3000) && map.modelled == Nanoseconds(2100))
    #expect(map.stalled == 2 && map.stalledTime == Nanoseconds(12000))
  }

  @Test("Work that always takes long did not stall")
  func longWork() throws {
    // One term that stands for two things, the dear one rare: the model expects less than a tenth of it.
    let cheap = Self.calls(Array(repeating: 10, count: 200), Stage2Work(pageStates: 1))
    let dear = Self.calls(Array(repeating: 4000, count: 6), Stage2Work(pageStates: 2))
    let (_, map) = try Self.map(fitted: cheap + dear, checked: cheap + dear)
    #expect(map.stalled == 0 && map.checked == 206)
  }

  @Test("The fit keeps the total of an operation, however its calls spread")
  func total() throws {
    var random = Random(5)
    let calls = (0..<400).map { _ in
      let pages = 1 + random.below(300)
      return (Stage2Work(pageStates: pages), UInt64(500 + (20 + random.below(40)) * pages))
    }
    let (_, map) = try Self.map(fitted: calls, checked: calls)
    #expect(map.stalled == 0)
    #expect(abs(try #require(map.relativeError)) < 1e-6)
  }

  @Test("The error's own error is what the spread of calls makes of two totals")
  func chance() throws {
    let spread = Self.calls((0..<100).map { $0 % 2 == 0 ? 90 : 110 })
    let (_, map) = try Self.map(fitted: spread, checked: spread)
    // 100 squares of 10 each, relative to a total of 10,000, on either side.
    #expect(abs(try #require(map.standardError) - (2e-4).squareRoot()) < 1e-9)
    #expect(try Self.map(fitted: spread, checked: Self.calls([100])).map.standardError == nil)
  }

  @Test("A host that gets slower is drift, and a term that is missing is the model's own error")
  func blame() throws {
    let work = Stage2Work(descriptors: 4)
    let slower = try Self.map(
      fitted: Self.calls(Array(repeating: 100, count: 10), work),
      checked: Self.calls(Array(repeating: 200, count: 10), work)
    ).map
    #expect(slower.relativeError.map { abs($0 + 0.5) < 1e-9 } == true)
    #expect(slower.drift.map { abs($0 - 1) < 1e-9 } == true)
    #expect(slower.ownError.map { abs($0) < 1e-9 } == true)
    #expect(slower.equalWorkShare == 1)

    // Dearer for two pages than for one, and cheaper than either for three: no straight line.
    func calls(_ counts: [Int]) -> [(Stage2Work, UInt64)] {
      zip(counts, [100, 500, 90] as [UInt64]).enumerated().flatMap { index, kind in
        Self.calls(Array(repeating: kind.1, count: kind.0), Stage2Work(pageStates: index + 1))
      }
    }
    let bent = try Self.map(fitted: calls([50, 50, 50]), checked: calls([0, 50, 0])).map
    #expect(bent.drift.map { abs($0) < 1e-9 } == true)
    let error = try #require(bent.relativeError)
    #expect(error < -0.2)
    #expect(abs(try #require(bent.ownError) - error) < 1e-9)

    let other = try Self.map(
      fitted: Self.calls(Array(repeating: 100, count: 10), work),
      checked: Self.calls([300, 100], work) + Self.calls([400], Stage2Work(descriptors: 5))
    ).map
    #expect(other.equalWorkShare == 0.5)
    #expect(other.drift == 1)
  }
}
