internal import Foundation

/// The fields of one object of a JSON file, each taken out with a check; a failure names the field.
struct Fields {
  typealias Failure = MemslotFile.Failure

  /// Where the object stands, such as `vms[0].slots[2]`; empty for the outermost one.
  let path: String
  let object: [String: Any]

  func failure(_ name: String, _ problem: String) -> Failure {
    let field = (path.isEmpty ? "" : path + ".") + name
    return Failure(description: "\(field): \(problem)", field: field)
  }

  /// Refuses names that mean nothing here: most are misspelt.
  func expectOnly(_ names: Set<String>) throws(Failure) {
    for name in object.keys.sorted() where !names.contains(name) {
      throw failure(name, "there is no such field; there are \(names.sorted().joined(separator: ", "))")
    }
  }

  /// A whole number: as such, or as text, for addresses in hexadecimal.
  func number(_ name: String, upTo limit: UInt64) throws(Failure) -> UInt64? {
    guard let value = object[name], !(value is NSNull) else { return nil }
    return try number(value, name, upTo: limit)
  }

  func required(_ name: String, upTo limit: UInt64) throws(Failure) -> UInt64 {
    guard let number = try number(name, upTo: limit) else { throw failure(name, "is missing") }
    return number
  }

  func numbers(_ name: String, upTo limit: UInt64) throws(Failure) -> [UInt64]? {
    guard let value = object[name], !(value is NSNull) else { return nil }
    guard let list = value as? [Any] else { throw failure(name, "must be a list of numbers") }
    var numbers: [UInt64] = []
    for (index, value) in list.enumerated() {
      numbers.append(try number(value, "\(name)[\(index)]", upTo: limit))
    }
    return numbers
  }

  func bool(_ name: String) throws(Failure) -> Bool? {
    guard let value = object[name], !(value is NSNull) else { return nil }
    guard let number = value as? NSNumber, number.isBool else { throw failure(name, "must be true or false") }
    return number.boolValue
  }

  func objects(_ name: String, required: Bool) throws(Failure) -> [Fields] {
    guard let value = object[name], !(value is NSNull) else {
      if required { throw failure(name, "is missing") }
      return []
    }
    guard let list = value as? [Any] else { throw failure(name, "must be a list") }
    var objects: [Fields] = []
    for (index, element) in list.enumerated() {
      let path = path.isEmpty ? "\(name)[\(index)]" : "\(self.path).\(name)[\(index)]"
      guard let object = element as? [String: Any] else {
        throw Failure(description: "\(path): must be an object", field: path)
      }
      objects.append(Fields(path: path, object: object))
    }
    return objects
  }

  private func number(_ value: Any, _ name: String, upTo limit: UInt64) throws(Failure) -> UInt64 {
    let number: UInt64? =
      if let text = value as? String {
        text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
      } else if let number = value as? NSNumber, !number.isBool {
        UInt64(number.stringValue)
      } else {
        nil
      }
    guard let number else {
      throw failure(name, "must be a whole number, or one in hexadecimal as \"0x...\"")
    }
    guard number <= limit else { throw failure(name, "is \(number), at most \(limit) is possible") }
    return number
  }
}

extension NSNumber {
  /// Foundation parses true and 1 to the same class; only their encoding differs.
  fileprivate var isBool: Bool { String(cString: objCType) == "c" }
}
