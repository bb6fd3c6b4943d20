import KVMTypes

/// What a field of a profile holds, as a file writes it.
@frozen
public enum ProfileValue: Hashable, Sendable, CustomStringConvertible {
  /// true or false.
  case bool(Bool)
  /// A number.
  case integer(Int)
  /// A word.
  case word(String)

  /// The value as text.
  public var description: String {
    switch self {
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): String(value)
    case .word(let value): value
    }
  }
}

/// A field of a profile that can be read and changed by name.
public struct ProfileField: Sendable {
  /// Which field it is. The raw value is the name that files and reports use.
  @frozen
  public enum ID: String, Hashable, Sendable, CaseIterable {
    /// What the kernel is.
    case path, era
    /// What the machine and the guest are.
    case protected, pageSize, ipaBits, hardwareAF, dic, fwb, tlbRange, xnx
    /// What the kernel does, where it differs from the era.
    case faultLock, blockMappings, bytesPerNode, hypercallBatch, splitChunk
  }

  /// Which field it is.
  public let id: ID
  /// The name that files and reports use.
  public var name: String { id.rawValue }
  /// What it means, in one line.
  public let summary: String
  /// What it may hold, in words.
  public let values: String
  /// Whether it says what the machine is, which a trace of it tells, or what the kernel is.
  public private(set) var isMachine = false
  let get: @Sendable (Profile) -> ProfileValue
  /// Nil where the value has the wrong form.
  let set: @Sendable (inout Profile, ProfileValue) -> Void?

  /// What `profile` holds.
  public func value(in profile: Profile) -> ProfileValue { get(profile) }

  /// The same field, as one that says what the machine is.
  fileprivate var ofMachine: ProfileField {
    var field = self
    field.isMachine = true
    return field
  }
}

extension Profile {
  /// Every field, in the order in which they are printed. `name` is not among them.
  public static let fields: [ProfileField] = [
    ProfileField(
      id: .path, summary: "who changes the guest's table", values: "traditional or pkvm",
      get: { .word($0.path.rawValue) },
      set: { profile, value in
        guard case .word(let word) = value, let path = Path(rawValue: word) else { return nil }
        profile.path = path
      }),
    ProfileField(
      id: .era, summary: "which generation of the kernel",
      values: PKVMEra.allCases.map(\.name).joined(separator: ", "),
      get: { .word($0.era.name) },
      set: { profile, value in
        guard case .word(let word) = value, let era = PKVMEra(name: word) else { return nil }
        profile.era = era
      }),
    bool(.protected, "a protected guest", \.isProtected).ofMachine,
    ProfileField(
      id: .pageSize, summary: "the host's page size in bytes", values: "4096, 16384 or 65536",
      get: { .integer(Int($0.pageSize.bytes)) },
      set: { profile, value in
        guard case .integer(let bytes) = value, bytes > 0, let size = PageSize(bytes: UInt64(bytes)) else {
          return nil
        }
        profile.pageSize = size
      }
    ).ofMachine,
    integer(.ipaBits, "bits of an IPA", "32 to 52", \.ipaBits).ofMachine,
    bool(.hardwareAF, "the CPU sets access flags itself", \.hasHardwareAF).ofMachine,
    bool(.dic, "instruction caches need no invalidation", \.hasDIC).ofMachine,
    bool(.fwb, "stage 2 forces write-back", \.hasFWB).ofMachine,
    bool(.tlbRange, "TLB invalidation by range", \.hasTLBIRange).ofMachine,
    bool(.xnx, "execution permitted to one exception level", \.hasXNX).ofMachine,
    ProfileField(
      id: .faultLock, summary: "how a fault takes mmu_lock", values: "read or write",
      get: { .word($0.faultLock.rawValue) },
      set: { profile, value in
        guard case .word(let word) = value, let lock = FaultLock(rawValue: word) else { return nil }
        profile.faultLock = lock
      }),
    bool(.blockMappings, "faults may map blocks", \.mapsBlocks),
    integer(
      .bytesPerNode, "slab bytes of a mapping object", "64, 72 or another multiple of 8", \.bytesPerNode),
    integer(.hypercallBatch, "mappings that one hypercall covers", "1 or more", \.hypercallBatch),
    ProfileField(
      id: .splitChunk, summary: "bytes that eager splitting handles at once",
      values: "0 or the size of a block",
      get: { .integer(Int($0.splitChunkBytes)) },
      set: { profile, value in
        guard case .integer(let bytes) = value, bytes >= 0 else { return nil }
        profile.splitChunkBytes = UInt64(bytes)
      }),
  ]

  /// Changes one field by its name.
  ///
  /// - Throws: a `ProfileProblem` for an unknown name or a value of the wrong form. Whether the profile as a
  ///   whole makes sense is the business of `problems()`.
  public mutating func set(_ name: String, to value: ProfileValue) throws(ProfileProblem) {
    guard let field = Self.fields.first(where: { $0.name == name }) else {
      throw ProfileProblem(
        name, "no such field; there are \(Self.fields.map(\.name).joined(separator: ", "))")
    }
    if field.set(&self, value) == nil {
      throw ProfileProblem(name, "\(value) is not possible, \(field.values) is")
    }
  }

  /// This kernel, on the machine of another profile.
  public func on(_ machine: Profile) -> Profile {
    var profile = self
    for field in Self.fields where field.isMachine { _ = field.set(&profile, field.get(machine)) }
    // What the kernel cannot do, it does not, whatever the machine has.
    if !(isPKVM && era.supportsProtectedGuests) { profile.isProtected = false }
    if era < .v6_19 { profile.hasXNX = false }
    return profile
  }

  /// Whether it models the same as another, whatever the two are called.
  public func isAlike(_ other: Profile) -> Bool {
    var renamed = other
    renamed.name = name
    return renamed == self
  }

  /// What one field holds.
  public subscript(field: ProfileField.ID) -> ProfileValue {
    guard let known = Self.fields.first(where: { $0.id == field }) else {
      preconditionFailure("the field \(field.rawValue) is not listed")
    }
    return known.get(self)
  }

  private static func bool(
    _ id: ProfileField.ID, _ summary: String, _ path: any WritableKeyPath<Profile, Bool> & Sendable
  ) -> ProfileField {
    ProfileField(
      id: id, summary: summary, values: "true or false",
      get: { .bool($0[keyPath: path]) },
      set: { profile, value in
        guard case .bool(let flag) = value else { return nil }
        profile[keyPath: path] = flag
      })
  }

  private static func integer(
    _ id: ProfileField.ID, _ summary: String, _ values: String,
    _ path: any WritableKeyPath<Profile, Int> & Sendable
  ) -> ProfileField {
    ProfileField(
      id: id, summary: summary, values: values,
      get: { .integer($0[keyPath: path]) },
      set: { profile, value in
        guard case .integer(let number) = value else { return nil }
        profile[keyPath: path] = number
      })
  }
}
