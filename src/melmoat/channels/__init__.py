"""What lies between an attacker and the recognizer without being a defense, such as a room."""
