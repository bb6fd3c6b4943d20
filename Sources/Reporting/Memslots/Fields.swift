/// The fields of one object of a JSON file, each taken out with a check; a failure names the field.
struct Fields {
  typealias Failure = MemslotFile.Failure

  /// Where the object stands, such as `vms[0].slots[2]`; empty for the outermost one.
  let path: String
  let object: [String: JSONValue]

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
    guard let value = object[name], value != .null else { return nil }
    return try number(value, name, upTo: limit)
  }

  func required(_ name: String, upTo limit: UInt64) throws(Failure) -> UInt64 {
    guard let number = try number(name, upTo: limit) else { throw failure(name, "is missing") }
    return number
  }

  func numbers(_ name: String, upTo limit: UInt64) throws(Failure) -> [UInt64]? {
    guard let value = object[name], value != .null else { return nil }
    guard case .array(let list) = value else { throw failure(name, "must be a list of numbers") }
    var numbers: [UInt64] = []
    for (index, value) in list.enumerated() {
      numbers.append(try number(value, "\(name)[\(index)]", upTo: limit))
    }
    return numbers
  }

  func bool(_ name: String) throws(Failure) -> Bool? {
    guard let value = object[name], value != .null else { return nil }
    guard case .bool(let isTrue) = value else { throw failure(name, "must be true or false") }
    return isTrue
  }

  /// A text that must be there.
  func text(_ name: String) throws(Failure) -> String {
    guard case .string(let text) = object[name] else { throw failure(name, "must be a text") }
    return text
  }

  func object(_ name: String) throws(Failure) -> Fields? {
    guard let value = object[name], value != .null else { return nil }
    guard case .object(let object) = value else { throw failure(name, "must be an object") }
    return Fields(path: path.isEmpty ? name : "\(path).\(name)", object: object)
  }

  func objects(_ name: String, required: Bool) throws(Failure) -> [Fields] {
    guard let value = object[name], value != .null else {
      if required { throw failure(name, "is missing") }
      return []
    }
    guard case .array(let list) = value else { throw failure(name, "must be a list") }
    var objects: [Fields] = []
    for (index, element) in list.enumerated() {
      let path = path.isEmpty ? "\(name)[\(index)]" : "\(self.path).\(name)[\(index)]"
      guard case .object(let object) = element else {
        throw Failure(description: "\(path): must be an object", field: path)
      }
      objects.append(Fields(path: path, object: object))
    }
    return objects
  }

  private func number(_ value: JSONValue, _ name: String, upTo limit: UInt64) throws(Failure) -> UInt64 {
    let number: UInt64? =
      switch value {
      case .string(let text): text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
      case .number(let text): UInt64(text) ?? Double(text).flatMap { UInt64(exactly: $0) }
      default: nil
      }
    guard let number else {
      throw failure(name, "must be a whole number, or one in hexadecimal as \"0x...\"")
    }
    guard number <= limit else { throw failure(name, "is \(number), at most \(limit) is possible") }
    return number
  }
}
