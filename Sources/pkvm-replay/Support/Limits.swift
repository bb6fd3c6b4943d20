import KVMTrace
import KVMTypes
import Pictures
import Reporting
import Stage2Replay

/// What is bounded, so that memory is, and cut the output short: told with --verbose.
enum Limits {
  /// Those of a replay.
  ///
  /// - Parameter drawn: how many VMs have a map of their memory, nil where none was asked for.
  static func detail(
    _ result: ReplayResult, _ statistics: EventStatistics, of input: String, drawn: Int?
  ) {
    detail(statistics, of: input)
    if let agreement = result.agreement, agreement.mismatchCount > agreement.mismatches.count {
      tell(
        input, agreement.mismatches.count, of: agreement.mismatchCount,
        "differences between prediction and probes")
    }
    let causes = result.divergences.items.reduce(0) { $0 + $1.count }
    let all = result.divergences.unexplained + result.divergences.explained + result.divergences.unknown
    if all > causes {
      Diagnostics.detail(
        "\(input): \(all - causes) divergences have causes that are not listed, for there are too many")
    }
    if let drawn, result.vms.count > ReplayPictures.heatMapsMax {
      tell(input, drawn, of: result.vms.count, "maps of VMs' memory")
    }
  }

  /// Those of a pass over a trace.
  static func detail(_ statistics: EventStatistics, of input: String) {
    if statistics.lossCount > statistics.losses.count {
      tell(input, statistics.losses.count, of: statistics.lossCount, "places with losses")
    }
  }

  private static func tell(_ input: String, _ shown: Int, of all: Int, _ what: String) {
    Diagnostics.detail("\(input): only \(shown) of \(all) \(what) are kept")
  }
}
