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
}
