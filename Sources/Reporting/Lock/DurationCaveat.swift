/// What durations say, and what they do not.
package enum DurationCaveat {
  /// Of one recording.
  package static let recorded =
    "Durations are those of the recorded host: where that was emulated, they say nothing of hardware."
  /// Of several.
  package static let ofSeveral =
    "Durations are those of the recorded hosts: where these were emulated, they say nothing of hardware."
}
