import Testing

@testable import Reporting

@Suite("Capacity curve")
struct VMCurveTests {
  @Test("The least of the last quarter is of the guest's life, not of the time after its teardown")
  func leastOfLife() async throws {
    let samples = try await ReplayedRecordings.shared.replay("kvm-nvhe-7.2.12-plain-guest").samples
    let told = samples.filter { $0.curve.settled != .unknown }
    #expect(told.count == 3 && samples.count == 3)
    for sample in told {
      let low = try #require(sample.curve.low)
      let end = sample.curve.recordedNs
      // A point of the curve itself, in its last quarter, and the least of those in which there was a stage 2.
      let quarter = sample.curve.points.filter { $0.sinceBootNs * 4 >= end * 3 && $0.totalBytes > 0 }
      #expect(low.sinceBootNs <= end && low.totalBytes > 0 && low.totalBytes <= sample.peak.totalBytes)
      let least = try #require(quarter.map(\.totalBytes).min())
      #expect(low.totalBytes <= least, "\(sample.name)")
      #expect(sample.curve.points.contains { $0.totalBytes == low.totalBytes }, "\(sample.name)")
    }
  }

  @Test("What a VM gave back and took again is no growth: more bytes than ever are, or more touched memory")
  func settling() {
    func settled(_ bytes: [UInt64], touched: [Double] = []) -> VMCurve.Settling {
      let points = bytes.indices.map { index in
        VMCurve.Point(
          sinceBootNs: UInt64(index), totalBytes: bytes[index], mappingTreeBytes: 0, secPageTablesBytes: 0,
          touchedShare: touched.isEmpty ? 0.5 : touched[index])
      }
      return VMCurve.settling(points, from: points.count * 3 / 4)
    }
    #expect(settled([100, 100, 200, 200, 120, 100, 100, 200]) == .settled)
    #expect(settled([100, 100, 200, 200, 120, 100, 100, 210]) == .settled)
    #expect(settled([100, 100, 200, 200, 120, 100, 100, 211]) == .growing)
    #expect(settled([100, 100, 100, 100], touched: [0.1, 0.2, 0.2, 0.3]) == .growing)
    #expect(VMCurve.rule.contains("the most bytes that a VM ever had"))
  }

  @Test(
    "A VM that has ended ends with what it had last, on either path",
    arguments: ["kvm-nvhe-7.2.12-plain-guest", "pkvm-nvhe-7.3.4-16k-short-lived-guests"])
  func end(name: String) async throws {
    let replayed = try await ReplayedRecordings.shared.replay(name)
    #expect(!replayed.samples.isEmpty)
    for (sample, last) in zip(replayed.samples, replayed.lastBytes) {
      let point = try #require(sample.curve.points.last)
      #expect(point.totalBytes == UInt64(try #require(last)), "\(sample.name)")
      #expect(point.totalBytes > 0 && point.totalBytes <= sample.peak.totalBytes, "\(sample.name)")
    }
  }
}
