namespace Lamina.Personalities.HyperV;

/// <summary>How a hypercall ended (Top-Level Functional Specification, appendix B).</summary>
internal enum HypercallStatus : ushort
{
    Success = 0,
    InvalidHypercallCode = 2,
    InvalidHypercallInput = 3,
    InvalidAlignment = 4,
    InvalidParameter = 5,
    AccessDenied = 6,
    InvalidPartitionId = 13,
    InvalidVpIndex = 14,
    InvalidConnectionId = 18,
    InvalidVpState = 21,
}
