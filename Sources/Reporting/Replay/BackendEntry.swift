extension ReplayReport {
  /// A shared object whose stage-2 MMU stood in the place of the model's.
  public struct BackendEntry: Encodable, Sendable {
    /// What it calls itself.
    public var name: String
    /// The file.
    public var path: String
    /// What of it is not the kernel's own C, item by item.
    public var restated: [String]

    /// A shared object.
    public init(name: String, path: String, restated: [String]) {
      self.name = name
      self.path = path
      self.restated = restated
    }

    /// In a sentence.
    var statement: String {
      "in the place of the model's stage 2 stood that of \(name) (\(path)): memory and what calls return are its own"
    }
  }
}
