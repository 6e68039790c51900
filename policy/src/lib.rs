//! NetworkPolicy as users mean it: select, compile, decide
