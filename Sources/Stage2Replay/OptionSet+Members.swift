extension OptionSet where Self == Element {
  /// Whether a member is in the set: a property that is kept as a bit reads and writes it so.
  @inline(__always)
  subscript(member: Self) -> Bool {
    get { contains(member) }
    set { if newValue { insert(member) } else { remove(member) } }
  }
}
