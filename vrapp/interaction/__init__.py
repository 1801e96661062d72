"""What the user does: snapshot → events, locomotion, and what answers in the hand and on the object."""
