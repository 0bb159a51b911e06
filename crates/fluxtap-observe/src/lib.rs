//! A DNS response to facts: owner, chain, sets, section, bailiwick, vantage.
