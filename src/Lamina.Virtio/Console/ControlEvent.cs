namespace Lamina.Virtio.Console;

/// <summary>What a control message says (virtio 1.2, section 5.3.6.2).</summary>
internal enum ControlEvent : ushort
{
    DeviceReady = 0,
    DeviceAdd = 1,
    DeviceRemove = 2,
    PortReady = 3,
    ConsolePort = 4,
    Resize = 5,
    PortOpen = 6,
    PortName = 7,
}
