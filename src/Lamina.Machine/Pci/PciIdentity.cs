namespace Lamina.Machine.Pci;

/// <summary>What a function says it is (PCI 3.0, section 6.2.1).</summary>
/// <param name="VendorId">Vendor.</param>
/// <param name="DeviceId">Device.</param>
/// <param name="ClassCode">Base class, subclass, programming interface, from bits 23 down.</param>
/// <param name="Revision">Revision.</param>
/// <param name="SubsystemVendorId">Subsystem vendor.</param>
/// <param name="SubsystemId">Subsystem.</param>
/// <param name="InterruptPin">1 (INTA) to 4 (INTD), or 0 for none.</param>
public readonly record struct PciIdentity(
    ushort VendorId,
    ushort DeviceId,
    uint ClassCode,
    byte Revision = 0,
    ushort SubsystemVendorId = 0,
    ushort SubsystemId = 0,
    byte InterruptPin = 0);
