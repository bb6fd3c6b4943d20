import ArgumentParser
import Reporting

// What `--fail-if` says, and what it cannot say.

extension Threshold {
  /// Reads what `--fail-if` says; what is no threshold is wrong usage.
  init(failIf text: String) throws {
    do {
      try self.init(text)
    } catch {
      throw ValidationError("--fail-if \(error.message)")
    }
  }
}

extension Comparison {
  /// The wrong usage of a threshold on what is no figure of it.
  func lacksMetric(of threshold: Threshold) -> ValidationError {
    let near = metrics(near: threshold.metric).first.map { "did you mean \($0)? " } ?? ""
    return ValidationError(
      "--fail-if \(threshold.metric): no such metric; \(near)--all prints those of this comparison")
  }
  /// The failure of a threshold on a figure that nothing tells.
  ///
  /// - Parameter words: how a recording, or a side, of which nothing tells it is named.
  func lacksFigure(of threshold: Threshold, _ words: (String) -> String = { $0 }) -> ExitCode {
    let names = recordings(without: threshold).map(words).joined(separator: " and ")
    return Diagnostics.failure("--fail-if \(threshold.metric): unknown of \(names)", .usage)
  }
}
