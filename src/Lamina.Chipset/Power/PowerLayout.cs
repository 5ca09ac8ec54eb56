namespace Lamina.Chipset.Power;

/// <summary>Where a machine has the ACPI fixed hardware, and what switches it off. ACPI's tables say the same.</summary>
/// <param name="Event">PM1a event block: status and enable, 4 ports.</param>
/// <param name="Control">PM1a control block, 2 ports.</param>
/// <param name="Timer">Power management timer, 4 ports.</param>
/// <param name="GeneralPurposeEvent">General-purpose event block 0: status and enable, <see cref="PcAddressMap.GeneralPurposeEventLength"/> ports.</param>
/// <param name="Reset">The port that resets the machine when <see cref="ResetValue"/> is written to it; 0 where another device has that.</param>
/// <param name="SoftOffType">SLP_TYP of S5.</param>
public readonly record struct PowerLayout(ushort Event, ushort Control, ushort Timer, ushort GeneralPurposeEvent, ushort Reset, byte SoftOffType)
{
    /// <summary>What resets the machine at <see cref="Reset"/>.</summary>
    public const byte ResetValue = 1;

    /// <summary>That of the PC.</summary>
    public static PowerLayout Pc { get; } = new(PcAddressMap.Pm1Event, PcAddressMap.Pm1Control, PcAddressMap.PmTimer, PcAddressMap.GeneralPurposeEvent, 0, AcpiPowerManagement.SoftOffType);

    /// <summary>That of Hyper-V's generation 2 (mu_msvm, MsvmPkg/Include/PowerManagementInterface.h and AcpiTables/Fadt.aslc).</summary>
    public static PowerLayout Generation2 { get; } = new(
        Generation2AddressMap.Pm1Event, Generation2AddressMap.Pm1Control, Generation2AddressMap.PmTimer, Generation2AddressMap.GeneralPurposeEvent, Generation2AddressMap.Reset, Generation2AddressMap.SoftOffType);
}
