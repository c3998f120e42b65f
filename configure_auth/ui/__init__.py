"""What people see: the "Continue with Configure" button, the small pages of a sign-in, and every text in them."""
