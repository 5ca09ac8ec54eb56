namespace Lamina.Personalities.HyperV;

/// <summary>How a hypercall ended (Top-Level Functional Specification, appendix B).</summary>
internal enum HypercallStatus : ushort
{
    Success = 0,
    InvalidHypercallCode = 2,
    InvalidAlignment = 4,
    InvalidParameter = 5,
    InvalidConnectionId = 18,
}
