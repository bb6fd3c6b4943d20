internal import KVMTypes

// The JSON form: what `calibrate` writes and `replay --costs` reads.
//
//     schemaVersion  1
//     name, source
//     drivers        {hypercall: {ns, standardErrorNs, basis, source}, ...}; one left out is unknown
//     operations     {map: {...}, ...}
//     quality        rSquared, checkedRSquared, residualDeviationNs, heldOut,
//                    operations{map: {fitted, checked, recordedNs, modelledNs, relativeError, standardError,
//                    stalledInFit, stalled, stalledNs, drift, ownError, equalWorkShare}}
//     interleavedQuality  as quality

extension CostModel: Codable {
  /// The version that is written.
  static let schemaVersion = 1

  private enum CodingKeys: String, CodingKey {
    case schemaVersion, name, source, drivers, operations, quality, interleavedQuality
  }

  /// Reads the JSON form.
  ///
  /// - Throws: `DecodingError`, also for another version, a term that is not known, and a value that is
  ///   negative or not finite.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let version = try container.decode(Int.self, forKey: .schemaVersion)
    guard version == Self.schemaVersion else {
      throw DecodingError.dataCorruptedError(
        forKey: .schemaVersion, in: container, debugDescription: "version \(version) is not known")
    }
    var drivers: [CostDriver: CostValue] = [:]
    for (name, value) in try container.decode([String: CostValue].self, forKey: .drivers) {
      guard let driver = CostDriver(rawValue: name) else {
        let names = CostDriver.allCases.map(\.rawValue).joined(separator: ", ")
        throw DecodingError.dataCorruptedError(
          forKey: .drivers, in: container, debugDescription: "\(name) is none of \(names)")
      }
      drivers[driver] = value
    }
    self.init(
      name: try container.decode(String.self, forKey: .name),
      source: try container.decodeIfPresent(String.self, forKey: .source) ?? "",
      drivers: drivers,
      operations: try container.decodeIfPresent([String: CostValue].self, forKey: .operations) ?? [:],
      quality: try container.decodeIfPresent(CostQuality.self, forKey: .quality),
      interleavedQuality: try container.decodeIfPresent(CostQuality.self, forKey: .interleavedQuality))
  }

  /// Writes the JSON form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(Self.schemaVersion, forKey: .schemaVersion)
    try container.encode(name, forKey: .name)
    try container.encode(source, forKey: .source)
    let named = drivers.map { ($0.key.rawValue, $0.value) }
    try container.encode(Dictionary(uniqueKeysWithValues: named), forKey: .drivers)
    try container.encode(operations, forKey: .operations)
    try container.encodeIfPresent(quality, forKey: .quality)
    try container.encodeIfPresent(interleavedQuality, forKey: .interleavedQuality)
  }
}

extension CostValue: Codable {
  private enum CodingKeys: String, CodingKey {
    case nanoseconds = "ns"
    case standardError = "standardErrorNs"
    case basis, source
  }

  /// Reads the JSON form; without a basis the value is `assumed`.
  ///
  /// - Throws: `DecodingError`.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let value = try container.decode(Double.self, forKey: .nanoseconds)
    guard value.isFinite, value >= 0 else {
      throw DecodingError.dataCorruptedError(
        forKey: .nanoseconds, in: container, debugDescription: "\(value) ns is no cost")
    }
    let name = try container.decodeIfPresent(String.self, forKey: .basis) ?? Basis.assumed.name
    guard let basis = Basis.allCases.first(where: { $0.name == name }) else {
      throw DecodingError.dataCorruptedError(
        forKey: .basis, in: container, debugDescription: "\(name) is no basis")
    }
    self.init(
      nanoseconds: value, standardError: try container.decodeIfPresent(Double.self, forKey: .standardError),
      basis: basis, source: try container.decodeIfPresent(String.self, forKey: .source) ?? "")
  }

  /// Writes the JSON form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(nanoseconds, forKey: .nanoseconds)
    try container.encodeIfPresent(standardError, forKey: .standardError)
    try container.encode(basis.name, forKey: .basis)
    try container.encode(source, forKey: .source)
  }
}
