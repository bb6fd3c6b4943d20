import Testing

@testable import Reporting

@Suite("Comparison and thresholds")
struct ComparisonTests {
  static func metric(_ name: String, _ least: UInt64, _ most: UInt64? = nil) -> Metric {
    Metric(name: name, unit: .count, least: least, most: most ?? least)
  }

  static func row(_ before: Metric, _ after: Metric) -> Comparison.Row {
    Comparison("a", [before], "b", [after]).rows[0]
  }

  @Test("A difference is absolute and relative, a range where a side is one")
  func differences() {
    let exact = Self.row(Self.metric("x", 100), Self.metric("x", 150))
    #expect(exact.absolute == (50, 50))
    #expect(exact.relative! == (0.5, 0.5))
    #expect(exact.isDifferent)
    let open = Self.row(Self.metric("x", 100, 200), Self.metric("x", 150))
    #expect(open.absolute == (-50, 50))
    #expect(open.relative! == (-0.25, 0.5))
    #expect(!open.isDifferent)
    #expect(Self.row(Self.metric("x", 0), Self.metric("x", 5)).relative == nil)
  }

  @Test("What only one side has is compared with nothing")
  func oneSided() {
    let comparison = Comparison("a", [Self.metric("x", 1)], "b", [Self.metric("y", 2)])
    #expect(comparison.rows.map(\.before.name) == ["x", "y"])
    #expect(comparison.rows.map(\.before.most) == [1, 0])
    #expect(comparison.rows.map(\.after.most) == [0, 2])
  }

  @Test(
    "A threshold is exceeded by what lies beyond it, not by the bound itself",
    arguments: [
      ("x>+5%", true), ("x>5%", true), ("x>+10%", false), ("x>9", true), ("x>10", false), ("x<0", false),
      ("x<11", true), ("x<-5%", false),
    ])
  func thresholds(text: String, fails: Bool) throws {
    let threshold = try Threshold(text)
    #expect(threshold.fails(Self.row(Self.metric("x", 100), Self.metric("x", 110))) == fails)
  }

  @Test("From nothing to something is beyond any percentage")
  func fromNothing() throws {
    let row = Self.row(Self.metric("x", 0), Self.metric("x", 1))
    #expect(try Threshold("x>+1000%").fails(row))
    #expect(try !Threshold("x<-1%").fails(row))
    #expect(try !Threshold("x>+1%").fails(Self.row(Self.metric("x", 0), Self.metric("x", 0))))
  }

  @Test("A range exceeds a threshold as soon as one value of it does")
  func ranges() throws {
    let row = Self.row(Self.metric("x", 100), Self.metric("x", 100, 120))
    #expect(try Threshold("x>+10%").fails(row))
    #expect(try !Threshold("x>+20%").fails(row))
  }

  @Test(
    "What is no threshold is refused with a reason",
    arguments: ["", "x", "x>", "x>abc", ">5", "x>5%%", "x<nan"])
  func syntax(text: String) {
    #expect(throws: Threshold.SyntaxError.self) { try Threshold(text) }
  }

  @Test("A metric that neither side has is named")
  func unknown() throws {
    let comparison = Comparison("a", [Self.metric("x", 1)], "b", [Self.metric("x", 1)])
    let (exceeded, unknown) = comparison.check([try Threshold("z>1"), try Threshold("x>1")])
    #expect(exceeded.isEmpty && unknown.map(\.metric) == ["z"])
  }
}
