"""Reading scans: a CT volume in Hounsfield units on the patient grid."""
