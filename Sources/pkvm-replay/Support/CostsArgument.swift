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
    guard FileManager.default.fileExists(atPath: text) else {
      let names = CostModel.builtIn.map(\.name).joined(separator: ", ")
      Diagnostics.note("\(text): neither a file nor a built-in set of costs (\(names))")
      throw ExitCode.validationFailure
    }
    guard let data = FileManager.default.contents(atPath: text) else {
      throw Diagnostics.failure("\(text): cannot be read", .inputOutput)
    }
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
