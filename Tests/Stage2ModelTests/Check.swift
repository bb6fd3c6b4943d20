import Testing

/// `#expect(actual == expected)` for what a mutating function or a noncopyable value returns, which the macro
/// cannot take apart.
func check<Value: Equatable>(
  _ actual: Value, _ expected: Value, _ comment: @autoclosure () -> Comment? = nil,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  if actual != expected {
    Issue.record(
      "\(actual) is not \(expected)\(comment().map { ", \($0)" } ?? "")", sourceLocation: sourceLocation)
  }
}
