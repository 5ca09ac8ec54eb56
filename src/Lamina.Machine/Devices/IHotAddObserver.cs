namespace Lamina.Machine.Devices;

/// <summary>Is told when a guest has added a piece of memory, or has refused.</summary>
public interface IHotAddObserver
{
    /// <summary>It has answered. With the device's lock held: it is not to be asked anything.</summary>
    void OnHotAddAnswer();
}
