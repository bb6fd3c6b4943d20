internal import Foundation
public import Stage2Model

/// A profile in JSON: an object that names the built-in profile it starts from in `base`, itself in `name`, and every
/// field that differs.
///
///     {"base": "7.3-pkvm", "name": "read lock", "faultLock": "read"}
public enum ProfileFile {
  /// Why a file is no profile, in words that follow the file's name.
  public struct Failure: Error, CustomStringConvertible {
    /// What is wrong.
    public var description: String
    /// The field that is wrong, nil where it is the whole file.
    public var field: String?
  }

  /// The profile in `text`.
  public static func profile(json text: String) throws(Failure) -> Profile {
    let parsed: Any
    do {
      parsed = try JSONSerialization.jsonObject(with: Data(text.utf8))
    } catch {
      throw Failure(description: JSONLines.syntaxProblem(of: text) ?? "is not JSON")
    }
    guard let object = parsed as? [String: Any] else {
      throw Failure(description: "is not a JSON object with the fields of a profile")
    }
    let names = Profile.builtIns.map(\.name).joined(separator: ", ")
    guard let base = object["base"] as? String else {
      throw Failure(description: "has no \"base\", the built-in profile to start from: \(names)")
    }
    guard var profile = Profile.builtIn(named: base) else {
      throw Failure(
        description: "starts from \"\(base)\", which is no built-in profile; there are \(names)",
        field: "base")
    }
    if let name = object["name"] as? String { profile.name = name }
    let notFields = ToolIdentity.fields.union(["base", "name"])
    for (field, value) in object.sorted(by: { $0.key < $1.key }) where !notFields.contains(field) {
      guard let value = ProfileValue(json: value) else {
        throw Failure(description: "\(field): must be true, false, a whole number or a word", field: field)
      }
      do {
        try profile.set(field, to: value)
      } catch {
        throw Failure(description: error.description, field: field)
      }
    }
    if let problem = profile.problems().first {
      throw Failure(description: problem.description, field: problem.field)
    }
    return profile
  }

  /// `profile` as such a file, with every field, written by `tool`.
  public static func json(_ profile: Profile, by tool: ToolIdentity) -> String {
    var object: [String: ProfileFieldValue] = ["name": .word(profile.name)]
    // The nearest era before it that has a built-in profile; the fields say the rest.
    let era = Profile.builtInEras.last { $0 <= profile.era } ?? profile.era
    object["base"] = .word(Profile(path: profile.path, era: era).name)
    for field in Profile.fields { object[field.name] = ProfileFieldValue(field.value(in: profile)) }
    return JSON.text(object, by: tool)
  }
}

/// The value of a profile's field in a report.
public enum ProfileFieldValue: Encodable, Hashable, Sendable, CustomStringConvertible {
  /// true or false.
  case bool(Bool)
  /// A number.
  case integer(Int)
  /// A word.
  case word(String)

  init(_ value: ProfileValue) {
    switch value {
    case .bool(let value): self = .bool(value)
    case .integer(let value): self = .integer(value)
    case .word(let value): self = .word(value)
    }
  }

  /// The value as text.
  public var description: String {
    switch self {
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): String(value)
    case .word(let value): value
    }
  }

  /// The value itself, not an object around it.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .bool(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .word(let value): try container.encode(value)
    }
  }
}

extension ProfileValue {
  /// A value of a parsed JSON object. Foundation parses true and 1 to the same class; only their encoding differs.
  fileprivate init?(json value: Any) {
    if let word = value as? String {
      self = .word(word)
    } else if let number = value as? NSNumber {
      if String(cString: number.objCType) == "c" {
        self = .bool(number.boolValue)
      } else if let integer = Int(exactly: number.doubleValue) {
        self = .integer(integer)
      } else {
        return nil
      }
    } else {
      return nil
    }
  }
}
