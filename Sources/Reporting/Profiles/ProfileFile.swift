internal import Stage2Model
public import Stage2Replay

/// A profile in JSON: an object that names the kernel it starts from in `base`, itself in `name`, and every field that
/// differs.
///
///     {"base": "7.3-pkvm", "name": "read lock", "faultLock": "read"}
///
/// `base` is `auto`, the kernel that was traced, or a kernel's name. What the machine is, the trace tells, unless the file
/// states it: `"trace"` as a field's value leaves it to the trace, as does leaving the field out.
public enum ProfileFile {
  /// Why a file is no profile, in words that follow the file's name.
  public struct Failure: Error, CustomStringConvertible {
    /// What is wrong.
    public var description: String
    /// The field that is wrong, nil where it is the whole file.
    public var field: String?
  }

  /// What stands for a field that the trace tells.
  static let fromTrace = "trace"

  /// What the file `text` asks for.
  public static func request(json text: String) throws(Failure) -> ProfileRequest {
    let parsed: JSONValue
    do throws(JSONValue.SyntaxError) {
      parsed = try JSONValue(text)
    } catch {
      throw Failure(description: JSONLines.syntaxProblem(of: text) ?? "is not JSON")
    }
    guard case .object(let object) = parsed else {
      throw Failure(description: "is not a JSON object with the fields of a profile")
    }
    var request = try base(object)
    if let name = object["name"] {
      guard case .string(let name) = name else {
        throw Failure(description: "name: must be a word", field: "name")
      }
      request.name = name
    }
    let notFields = ToolIdentity.fields.union(["base", "name"])
    for (field, value) in object.sorted(by: { $0.key < $1.key }) where !notFields.contains(field) {
      guard let value = ProfileValue(json: value) else {
        throw Failure(description: "\(field): must be true, false, a whole number or a word", field: field)
      }
      if value == .word(fromTrace) {
        try requireMachine(field)
        continue
      }
      do {
        try request.set(field, to: value)
      } catch {
        throw Failure(description: error.description, field: field)
      }
    }
    try check(request)
    return request
  }

  private static func base(_ object: [String: JSONValue]) throws(Failure) -> ProfileRequest {
    let names =
      "auto, a kernel's release such as 7.3 or \(KernelRelease.known[0].name), or one with -pkvm or -traditional"
    guard case .string(let base) = object["base"] else {
      throw Failure(description: "has no \"base\", the kernel to start from: \(names)")
    }
    var request = ProfileRequest()
    if base != "auto" {
      guard let kernel = NamedKernel(base) else {
        throw Failure(
          description: "starts from \"\(base)\", which is no built-in profile; "
            + (NamedKernel.meant(by: base).map { "did you mean \($0)?" } ?? "there are \(names)"),
          field: "base")
      }
      request.kernel = kernel
    }
    return request
  }

  private static func requireMachine(_ name: String) throws(Failure) {
    guard let field = Profile.fields.first(where: { $0.name == name }) else {
      throw Failure(description: "\(name): no such field; profiles auto lists them", field: name)
    }
    guard field.isMachine || name == "path" else {
      throw Failure(
        description: "\(name): says what the kernel is, which only \"base\": \"auto\" leaves to the trace",
        field: name)
    }
  }

  /// Refuses what contradicts itself whatever the trace is: whichever path the host has. What depends on the trace is seen
  /// there.
  private static func check(_ request: ProfileRequest) throws(Failure) {
    let isPathStated = request.path != nil || request.kernel?.isProtectedMode != nil
    var problem: ProfileProblem?
    for path in isPathStated ? [request.path] : [.pkvm, .traditional] {
      var request = request
      request.path = path
      do {
        _ = try request.profile()
        return
      } catch {
        // The sizes of blocks are the machine's.
        if error.field == "splitChunk" { return }
        problem = problem ?? error
      }
    }
    if let problem { throw Failure(description: problem.description, field: problem.field) }
  }

  /// A request as such a file: what it says of the kernel in every field, where it says which; what is left to the trace as
  /// `"trace"`. `tool` wrote it.
  public static func json(_ request: ProfileRequest, by tool: ToolIdentity) -> String {
    var object: [String: ProfileValue] = ["base": .word(request.kernel?.name ?? "auto")]
    if let name = request.name ?? request.kernel?.name { object["name"] = .word(name) }
    for (field, value) in values(request) {
      if let value { object[field.name] = value }
      if value == nil, field.isMachine || field.name == "path" { object[field.name] = .word(fromTrace) }
    }
    return JSON.text(object, by: tool)
  }

  /// What a request says of each field, nil where it leaves that to the trace.
  static func values(_ request: ProfileRequest) -> [(field: ProfileField, value: ProfileValue?)] {
    let isDetermined = (request.kernel?.isProtectedMode != nil || request.path != nil) && request.era != nil
    let kernel = isDetermined ? try? request.profile() : nil
    return Profile.fields.map { field in
      let stated =
        request.fields[field.name] ?? (field.name == "era" ? request.era.map { .word($0.name) } : nil)
      return (field, stated ?? (field.isMachine ? nil : kernel.map { field.value(in: $0) }))
    }
  }
}

extension ProfileValue {
  /// A value of a JSON object.
  fileprivate init?(json value: JSONValue) {
    switch value {
    case .string(let word): self = .word(word)
    case .bool(let isTrue): self = .bool(isTrue)
    case .number(let text):
      guard let integer = Double(text).flatMap({ Int(exactly: $0) }) else { return nil }
      self = .integer(integer)
    case .null, .array, .object: return nil
    }
  }
}
