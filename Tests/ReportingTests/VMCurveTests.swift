import Testing

@testable import Reporting

@Suite("Capacity curve")
struct VMCurveTests {
  @Test("The least of the last quarter is of the guest's life, not of the time after its teardown")
  func leastOfLife() async throws {
    let samples = try await ReplayedRecordings.shared.replay("kvm-nvhe-7.2.12-plain-guest").samples
    let ended = samples.filter { $0.curve.settled != .unknown }
    #expect(!ended.isEmpty)
    for sample in ended {
      let low = try #require(sample.curve.low)
      #expect(low.totalBytes * 2 > sample.peak.totalBytes, "\(sample.name)")
    }
  }

  @Test(
    "A VM that has ended ends with what it had last, on either path",
    arguments: ["kvm-nvhe-7.2.12-plain-guest", "pkvm-nvhe-7.3.4-16k-short-lived-guests"])
  func end(name: String) async throws {
    let samples = try await ReplayedRecordings.shared.replay(name).samples
    #expect(!samples.isEmpty)
    for sample in samples {
      let last = try #require(sample.curve.points.last)
      #expect(last.totalBytes * 2 > sample.peak.totalBytes && last.totalBytes <= sample.peak.totalBytes)
    }
  }
}
