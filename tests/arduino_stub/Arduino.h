// What the sketch of an exported Arduino library uses of Arduino.
#pragma once

struct Printer {
  void begin(unsigned long);
  void print(const char*);
  void print(unsigned long);
  void println(const char*);
  explicit operator bool() const;
};

extern Printer Serial;
unsigned long micros();
void delay(unsigned long);
