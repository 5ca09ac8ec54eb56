namespace Lamina.Virtio.Balloon;

/// <summary>Told of what a guest says.</summary>
public interface IBalloonObserver
{
    /// <summary>The guest has told its statistics, or will not tell them. With the device's lock held: do not call back, do not wait.</summary>
    void OnStatistics();
}
