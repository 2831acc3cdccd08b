"""What people look at: progress, tables, and one document explained."""
