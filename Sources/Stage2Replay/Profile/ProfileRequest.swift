public import KVMTypes
public import Stage2Model

/// What a user says about the kernel and machine to model; what is not said is read off the trace.
public struct ProfileRequest: Hashable, Sendable {
  /// The whole profile, in which nothing is left to the trace.
  public var profile: Profile?
  /// The kernel, nil for the one that was traced.
  public var kernel: NamedKernel?
  /// What reports call the profile where its fields change anything.
  public var name: String?
  /// Single fields, by the names of `Profile.fields`.
  public private(set) var fields: [String: ProfileValue] = [:]

  /// Everything is left to the trace.
  public init() {}

  /// States one field.
  ///
  /// - Throws: a `ProfileProblem` for an unknown name or a value of the wrong form.
  public mutating func set(_ field: String, to value: ProfileValue) throws(ProfileProblem) {
    var form = Profile(path: .pkvm, era: .v7_3)
    try form.set(field, to: value)
    fields[field] = value
  }

  /// Whether it says as which kernel the trace is replayed, whatever that one was.
  var statesEra: Bool { profile != nil || fields["era"] != nil || kernel.map { $0.release == nil } ?? false }

  /// The host's page size, where it is stated.
  public var pageSize: PageSize? {
    get {
      if let profile { return profile.pageSize }
      guard case .integer(let bytes) = fields["pageSize"] else { return nil }
      return PageSize(bytes: UInt64(bytes))
    }
    set { fields["pageSize"] = newValue.map { .integer(Int($0.bytes)) } }
  }

  /// Who changes the guests' tables, where it is stated.
  public var path: Profile.Path? {
    get {
      guard case .word(let word) = fields["path"] else { return nil }
      return Profile.Path(rawValue: word)
    }
    set { fields["path"] = newValue.map { .word($0.rawValue) } }
  }

  /// The generation of the kernel, where it is stated.
  public var era: PKVMEra? {
    guard case .word(let word) = fields["era"] else { return kernel?.era }
    return PKVMEra(name: word)
  }

  /// The stated fields but those that decide what all others are by default.
  var otherFields: [(field: ProfileField.ID, value: ProfileValue)] {
    Profile.fields.filter { $0.id != .path && $0.id != .era }.compactMap { field in
      fields[field.name].map { (field.id, $0) }
    }
  }

  /// The profile on `machine`, in protected mode unless that is stated otherwise: what it is where no trace tells.
  ///
  /// - Throws: a `ProfileProblem` where it contradicts itself.
  public func profile(on machine: Profile? = nil) throws(ProfileProblem) -> Profile {
    if let profile { return profile }
    let named = kernel?.path(isProtectedMode: kernel?.isProtectedMode ?? (machine?.isPKVM ?? true))
    let path = path ?? named ?? machine?.path ?? .pkvm
    var made = Profile(path: path, era: era ?? machine?.era ?? .v7_3)
    if let machine { made = made.on(machine) }
    for (field, value) in otherFields { try made.set(field.rawValue, to: value) }
    if let name = name ?? kernel?.name { made.name = name }
    if let problem = made.problems().first { throw problem }
    return made
  }
}
