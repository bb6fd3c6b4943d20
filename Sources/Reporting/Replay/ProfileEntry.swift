public import Stage2Model
internal import Stage2Replay

extension ReplayReport {
  /// The kernel and machine that were modelled; of several inputs what they have in common.
  public struct ProfileEntry: Encodable, Hashable, Sendable {
    /// What the profile is called, nil where that of several inputs differs.
    public var name: String?
    /// What each field holds. A field that is not here differs between inputs.
    public var fields: [ProfileField.ID: ProfileValue]

    init(_ profile: Profile) {
      name = profile.name
      fields = [:]
      for field in Profile.fields { fields[field.id] = field.value(in: profile) }
    }

    /// What a field holds.
    public subscript(field: ProfileField.ID) -> ProfileValue? { fields[field] }

    /// What this profile and another one have in common.
    func common(with other: Self) -> Self {
      var common = self
      if name != other.name { common.name = nil }
      common.fields = fields.filter { other.fields[$0.key] == $0.value }
      return common
    }

    /// One object, in which `name` is a field like the others.
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: ReportKey.self)
      try container.encodeIfPresent(name, forKey: ReportKey("name"))
      for (field, value) in fields { try container.encode(value, forKey: ReportKey(field.word)) }
    }
  }
}
