import CostFit
import Foundation
import KVMTrace
import Reporting
import Stage2Replay
import Testing

/// Calibrations of the bundled recordings, on calls that the fits did not see.
@Suite("Calibration of recordings")
struct CalibrationTests {
  /// As many calls of an operation are asked for.
  static let samplesMin = 200
  /// The error that is allowed.
  static let allowed = 0.1

  /// Recorded while the emulator's host had several other machines to run: its own times change from call to call.
  private static let disturbed: Set = [
    "kvm-nvhe-7.2.12-16k-page-table", "kvm-nvhe-7.3.4-eager-split-guest",
  ]

  /// The smaller recordings, for time: the files below 100,000 bytes.
  static let names = Recordings.names.filter { name in
    if disturbed.contains(name) { return false }
    let size = try? FileManager.default.attributesOfItem(atPath: Recordings.path(name))[.size] as? Int
    return (size ?? .max) < 100_000
  }

  static func model(_ name: String) throws -> CostModel {
    var options = ReplayOptions()
    options.measuresWork = true
    let trace = try TraceFile(path: Recordings.path(name))
    let (result, _) = try Replay.run(trace, profile: ProfileRequest(), options: options)
    return Calibration(name: name, source: "a test", [result]).model
  }

  /// The operations with calls enough.
  static func operations(_ quality: CostQuality?) throws -> [(name: String, CostQuality.Operation)] {
    try #require(quality).operations.map { ($0.key, $0.value) }.filter { _, operation in
      operation.fitted + operation.stalledInFit + operation.checked + operation.stalled >= samplesMin
    }
  }

  /// Whether an error is no more than allowed, or than chance makes of it in 99.7 % of cases.
  static func isSmall(_ error: Double?, _ operation: CostQuality.Operation) -> Bool {
    guard let error else { return false }
    return abs(error) <= max(allowed, 3 * (operation.standardError ?? 0))
  }

  @Test(
    "Where the host's changes are on both sides, the model is right within 10 % or within chance",
    arguments: names)
  func interleaved(name: String) throws {
    let model = try Self.model(name)
    for (operation, quality) in try Self.operations(model.interleavedQuality) {
      #expect(Self.isSmall(quality.relativeError, quality), "\(operation): \(quality)")
      // Half are held out, and they are no others than those fitted to.
      #expect(abs(quality.fitted + quality.stalledInFit - quality.checked - quality.stalled) <= 2)
    }
    // On later calls as well, where these cost work that the fit knew and the host took as long for it as before.
    for (operation, quality) in try Self.operations(model.quality) {
      guard let drift = quality.drift, abs(drift) <= 0.05, (quality.equalWorkShare ?? 0) > 0.98 else {
        continue
      }
      #expect(Self.isSmall(quality.relativeError, quality), "\(operation): \(quality)")
    }
  }

  @Test("Errors within 10 % are the rule, and beyond what the host drifts on later calls, too")
  func rule() throws {
    var interleaved: [Double] = []
    var own: [Double] = []
    for name in Self.names {
      let model = try Self.model(name)
      for (_, quality) in try Self.operations(model.interleavedQuality) {
        interleaved.append(abs(try #require(quality.relativeError)))
      }
      for (_, quality) in try Self.operations(model.quality) {
        if let error = quality.ownError { own.append(abs(error)) }
      }
    }
    #expect(interleaved.count >= 20)
    #expect(Double(interleaved.count { $0 <= Self.allowed }) >= 0.75 * Double(interleaved.count))
    #expect(interleaved.sorted()[interleaved.count / 2] < 0.05)
    #expect(own.sorted()[own.count / 2] < 0.05)
  }
}
