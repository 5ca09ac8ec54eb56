using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Pci;

namespace Lamina.Chipset.Pci;

/// <summary>
/// PCI bus 0: 32 devices of 8 functions. Interrupt pins are wired to the lines that <see cref="PcAddressMap.PciInterruptLine"/> says, shared among functions.
/// </summary>
public sealed class PciBus : IPciPins
{
    private const int DeviceCount = 32;
    private const int FunctionCount = 8;

    private readonly ILock _gate;
    private readonly AddressSpace _ports;
    private readonly AddressSpace _mmio;
    private readonly IInterruptLineSink _lines;
    private readonly PciFunction?[] _functions = new PciFunction?[DeviceCount * FunctionCount];
    private readonly int[] _asserting = new int[PcAddressMap.PciIrqCount];

    /// <summary>Makes an empty bus. Base address registers appear in <paramref name="ports"/> and <paramref name="mmio"/>.</summary>
    public PciBus(ILock gate, AddressSpace ports, AddressSpace mmio, IInterruptLineSink lines)
    {
        _gate = gate;
        _ports = ports;
        _mmio = mmio;
        _lines = lines;
    }

    /// <summary>Puts a function on the bus. Before the machine starts, or on the control thread.</summary>
    /// <exception cref="ArgumentException">The place does not exist or is taken.</exception>
    public void Attach(int device, int function, PciFunction content)
    {
        if ((uint)device >= DeviceCount || (uint)function >= FunctionCount || _functions[(device * FunctionCount) + function] is not null)
        {
            throw new ArgumentException($"Function 0:{device}.{function} does not exist or is taken.", nameof(device));
        }

        _functions[(device * FunctionCount) + function] = content;
        content.Attach(this, device, _ports, _mmio);
        if (function != 0)
        {
            _functions[device * FunctionCount]?.MarkMultifunction();
        }
        else
        {
            for (int i = 1; i < FunctionCount; i++)
            {
                if (_functions[(device * FunctionCount) + i] is not null)
                {
                    content.MarkMultifunction();
                }
            }
        }
    }

    /// <summary>Takes the only function of a device off the bus, if there is one: its registers are gone when this returns, and its pin is not driven. Any thread.</summary>
    public void Detach(int device)
    {
        PciFunction? content = _functions[device * FunctionCount];
        _functions[device * FunctionCount] = null;
        content?.Detach();
    }

    /// <summary>A configuration read (PCI 3.0, section 3.2.2.3). Where there is no function, all ones.</summary>
    internal void Read(int bus, int deviceFunction, int offset, Span<byte> data)
    {
        PciFunction? function = bus == 0 ? _functions[deviceFunction] : null;
        if (function is null)
        {
            data.Fill(0xff);
        }
        else
        {
            function.ReadConfiguration(offset, data);
        }
    }

    internal void Write(int bus, int deviceFunction, int offset, ReadOnlySpan<byte> data)
    {
        if (bus == 0)
        {
            _functions[deviceFunction]?.WriteConfiguration(offset, data);
        }
    }

    /// <inheritdoc/>
    public void SetPin(int device, int pin, bool asserted)
    {
        _gate.Enter();
        if (CountPin(device, pin, asserted))
        {
            _lines.SetLine(PcAddressMap.PciInterruptLine(device, pin), asserted);
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void RestorePin(int device, int pin, bool asserted) => CountPin(device, pin, asserted);

    private bool CountPin(int device, int pin, bool asserted)
    {
        int index = PcAddressMap.PciInterruptLine(device, pin) - PcAddressMap.FirstPciIrq;
        _asserting[index] += asserted ? 1 : -1;
        return _asserting[index] == (asserted ? 1 : 0);
    }
}
