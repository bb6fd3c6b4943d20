/// A condition for which the kernel prints a warning (`WARN_ON`, `WARN_ON_ONCE`, `WARN_ONCE`).
///
/// Each file of the model adds the warnings of the functions it stands for as static members.
@frozen
public struct KernelWarning: Hashable, Sendable {
  /// The kernel function that warns.
  public let function: String
  /// What it warns of.
  public let condition: String

  /// `function` warns of `condition`.
  public init(_ function: String, _ condition: String) {
    self.function = function
    self.condition = condition
  }
}

/// The warnings that a model produced, in the order of their first appearance.
///
/// Every occurrence counts, also where the kernel would print only the first (`WARN_ON_ONCE`).
public struct KernelWarnings: Sendable {
  /// A warning and how often it occurred.
  public struct Item: Hashable, Sendable {
    /// What was warned of.
    public let warning: KernelWarning
    /// How often.
    public internal(set) var count: Int
  }

  /// The warnings so far.
  public private(set) var items: [Item] = []

  /// None yet.
  public init() {}

  /// Whether there was none.
  public var isEmpty: Bool { items.isEmpty }

  /// How often `warning` occurred.
  public func count(of warning: KernelWarning) -> Int {
    items.first { $0.warning == warning }?.count ?? 0
  }

  /// `warning` occurs.
  @inline(never)
  public mutating func record(_ warning: KernelWarning) {
    if let index = items.firstIndex(where: { $0.warning == warning }) {
      items[index].count += 1
    } else {
      items.append(Item(warning: warning, count: 1))
    }
  }
}
