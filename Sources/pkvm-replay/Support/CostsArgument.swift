import ArgumentParser
import CostFit
import Foundation

/// A cost model on the command line: a built-in set, or a file that `calibrate` wrote.
struct CostsArgument: ExpressibleByArgument {
  let text: String

  init?(argument: String) { text = argument }

  /// The model, or one line about why there is none.
  func resolve() throws -> CostModel {
    if let builtIn = CostModel.builtIn(named: text) { return builtIn }
    let names = CostModel.builtIn.map(\.name).joined(separator: ", ")
    let data = try Diagnostics.content(
      of: text, else: "neither a file nor a built-in set of costs (\(names))")
    do {
      return try JSONDecoder().decode(CostModel.self, from: data)
    } catch let error as DecodingError {
      Diagnostics.note("\(text): \(Self.line(error))")
      throw ExitCode.validationFailure
    }
  }

  private static func line(_ error: DecodingError) -> String {
    switch error {
    case .keyNotFound(let key, _): "has no field \(key.stringValue)"
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      "\(context.codingPath.map(\.stringValue).joined(separator: ".")): not of the right type"
    case .dataCorrupted(let context):
      context.codingPath.isEmpty
        ? "is no JSON of a cost model"
        : "\(context.codingPath.map(\.stringValue).joined(separator: ".")): \(context.debugDescription)"
    @unknown default: "is no cost model"
    }
  }
}
