namespace Lamina.Personalities.Tests.Fakes;

/// <summary>Keeps what guests ask of the machine.</summary>
internal sealed class RecordingRequests : IGuestRequests
{
    public List<string> Asked { get; } = [];

    public void Reset() => Asked.Add("reset");

    public void ReportCrash() => Asked.Add("crash");

    public void PowerOff() => Asked.Add("power off");
}
