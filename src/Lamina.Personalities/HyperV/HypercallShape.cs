namespace Lamina.Personalities.HyperV;

/// <summary>What a hypercall takes and gives, in bytes.</summary>
/// <param name="Header">The fixed part of its input.</param>
/// <param name="IsVariable">Whether a variable part may follow.</param>
/// <param name="Element">Each element of its list; 0 for a call without.</param>
/// <param name="Output">Its output, or of a call with a list what each element gives.</param>
internal readonly record struct HypercallShape(int Header, bool IsVariable = false, int Element = 0, int Output = 0)
{
    /// <summary>Finds a call's.</summary>
    /// <param name="code">Which call.</param>
    /// <param name="shape">Its shape.</param>
    /// <returns><c>false</c> if there is no such call here.</returns>
    internal static bool TryFind(HypercallCode code, out HypercallShape shape)
    {
        const int MessageLength = 256;
        HypercallShape? found = code switch
        {
            HypercallCode.FlushVirtualAddressSpace => new(24),
            HypercallCode.FlushVirtualAddressList => new(24, Element: 8),
            HypercallCode.NotifyLongSpinWait => new(0),
            HypercallCode.SendSyntheticClusterIpi => new(16),
            HypercallCode.FlushVirtualAddressSpaceEx => new(32, IsVariable: true),
            HypercallCode.FlushVirtualAddressListEx => new(32, IsVariable: true, Element: 8),
            HypercallCode.SendSyntheticClusterIpiEx => new(24, IsVariable: true),
            HypercallCode.GetVpRegisters => new(16, Element: 4, Output: 16),
            HypercallCode.SetVpRegisters => new(16, Element: 32),
            HypercallCode.PostMessage => new(MessageLength),
            HypercallCode.SignalEvent => new(8),
            HypercallCode.QueryCapabilities => new(0, Output: 8),
            HypercallCode.MemoryHeatHint => new(8, Element: 8),
            _ => null,
        };
        shape = found.GetValueOrDefault();
        return found.HasValue;
    }

    /// <summary>Whether an input value fits.</summary>
    internal bool Fits(HypercallControl control) => !control.HasReserved && (IsVariable || control.VariableLength == 0)
        && (Element == 0 ? (control.RepCount | control.RepStart) == 0 : control.RepStart < control.RepCount);

    /// <summary>Bytes of the whole input.</summary>
    internal int GetInputLength(HypercallControl control) => Header + control.VariableLength + (Element * control.RepCount);

    /// <summary>Bytes of the whole output.</summary>
    internal int GetOutputLength(HypercallControl control) => Output * (Element == 0 ? 1 : control.RepCount);
}
