import Testing

@testable import Reporting

@Suite("Capacity curve")
struct VMCurveTests {
  @Test("The least of the last quarter is of the guest's life, not of the time after its teardown")
  func leastOfLife() async throws {
    let samples = try await ReplayedRecordings.shared.replay("kvm-nvhe-7.2.12-plain-guest").samples
    let ended = samples.filter { $0.curve.points.last?.totalBytes == 0 && $0.curve.settled != .unknown }
    #expect(!ended.isEmpty)
    for sample in ended {
      let low = try #require(sample.curve.low)
      #expect(low.totalBytes * 2 > sample.peak.totalBytes, "\(sample.name)")
    }
  }
}
