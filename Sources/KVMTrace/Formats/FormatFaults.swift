/// What is wrong with the texts of formats, by their positions.
struct FormatFaults {
  /// Those that do not even say which event they are of.
  var unparsed: [Int] = []
  /// Those that name an event but not its fields.
  var withoutFields: [Int] = []
  /// Those that name all fields of their event's kind, of which one is no number.
  var withoutNumbers: [Int] = []
  /// Those with a field that cannot lie where it says, and where in the text its line begins.
  var misplaced: [(position: Int, line: Int)] = []
  /// Those that have the number of another one.
  var renumbered: [Int] = []
}
