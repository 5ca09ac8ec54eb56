namespace Lamina.SoftCpu.Fpu;

/// <summary>The memory formats of the x87 environment (Intel SDM volume 1, figures 8-9 to 8-12).</summary>
internal enum EnvironmentFormat : byte
{
    Protected32,
    Real32,
    Protected16,
    Real16,
}
