import ArgumentParser
import CostFit
import FoundationEssentials
import Reporting

/// A cost model on the command line: a built-in set, or a file that `calibrate` wrote.
struct CostsArgument: ExpressibleByArgument {
  let text: String

  init?(argument: String) { text = argument }

  static var defaultCompletionKind: CompletionKind { .file() }

  /// The model, or one line about why there is none.
  func resolve() throws -> CostModel {
    if let builtIn = CostModel.builtIn(named: text) { return builtIn }
    let names = CostModel.builtIn.map(\.name).joined(separator: ", ")
    let json = try SideFile.text(at: text, else: "neither a file nor a built-in set of costs (\(names))")
    if let problem = JSONLines.syntaxProblem(of: json) {
      throw SideFile.failure(text, json, field: nil, problem)
    }
    do {
      return try JSONDecoder().decode(CostModel.self, from: Data(json.utf8))
    } catch let error as DecodingError {
      let (field, problem) = Self.explain(error)
      throw SideFile.failure(text, json, field: field, problem)
    }
  }

  /// The field that is wrong, and what is wrong with it.
  private static func explain(_ error: DecodingError) -> (field: String?, problem: String) {
    switch error {
    case .keyNotFound(let key, let context):
      let path = name(context.codingPath)
      return (path, "\(path.isEmpty ? "" : "\(path): ")has no field \(key.stringValue)")
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      let path = name(context.codingPath)
      return (path, "\(path.isEmpty ? "it" : path): not of the right type")
    case .dataCorrupted(let context) where context.codingPath.isEmpty:
      return (nil, "is no cost model")
    case .dataCorrupted(let context):
      let path = name(context.codingPath)
      return (path, "\(path): \(context.debugDescription)")
    @unknown default: return (nil, "is no cost model")
    }
  }

  private static func name(_ path: [any CodingKey]) -> String {
    path.reduce("") { text, key in
      if let index = key.intValue { return "\(text)[\(index)]" }
      return text.isEmpty ? key.stringValue : "\(text).\(key.stringValue)"
    }
  }
}
