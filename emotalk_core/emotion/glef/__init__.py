"""The paper's lip-aligned emotional face generator g_LEF and the public networks it builds on."""
