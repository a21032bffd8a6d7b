"""Local stand-in for the nomad plugin: jobs, host volumes and ACL policies (Nomad API: of the same names)."""

import asyncio
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from pulumi.provider.experimental.provider import PropertyDiffKind
from pulumi_nomad.acl_policy import AclPolicyArgs
from pulumi_nomad.dynamic_host_volume_registration import DynamicHostVolumeRegistrationArgs
from pulumi_nomad.job import JobArgs

from devcluster.plugins.api import Api
from devcluster.plugins.errors import InitFailedError, PluginError
from devcluster.plugins.provider import LocalProvider
from devcluster.plugins.resource import Call, Change, Resource
from devcluster.plugins.values import Plain, has_unknown

_DEFAULT_TIMEOUT = 300.0  # seconds, the published plugin's for create and update
_POLL = 10.0  # seconds that one blocking query may take
# Set to ask as seldom as the published plugin does (Terraform's StateChangeConf), which only the bench wants.
POLLING = "DEVCLUSTER_NOMAD_POLLING"
_LONGEST_PAUSE = 10.0  # seconds


class Job(Resource):
    """A job by its specification, HCL or (with `json`) API JSON with or without a `Job` root."""

    type_name = "nomad:index/job:Job"
    args = JobArgs
    outputs = (
        "allocationIds",
        "datacenters",
        "deploymentId",
        "deploymentStatus",
        "modifyIndex",
        "name",
        "namespace",
        "region",
        "status",
        "type",
        "version",
    )
    # As published, a changed jobspec also lists these as changes; no input is among them.
    recomputed = ("allocationIds", "modifyIndex", "region", "status")
    volatile = ("allocationIds", "deploymentId", "deploymentStatus", "modifyIndex", "status", "version")
    defaults: ClassVar[Mapping[str, Any]] = {
        "deregisterOnDestroy": True,
        "deregisterOnIdChange": True,
        "detach": True,
    }
    absent = frozenset({"hcl2"})

    def __init__(self, api: Api) -> None:
        self._api = api

    async def comparable(self, key: str, value: Any, properties: Plain) -> Any:
        """A jobspec is compared as Nomad understands it: layout and absent fields do not count."""
        if key == "jobspec" and value:
            try:
                return json.dumps(_without_nulls(await self._parsed(value, properties)), sort_keys=True)
            except PluginError:
                return value  # what cannot be read is a change; registering it says why
        return await super().comparable(key, value, properties)

    async def _parsed(self, jobspec: str, properties: Plain) -> Plain:
        if not properties.get("json"):
            parsed: Plain = await self._api.call("POST", "/v1/jobs/parse", body={"JobHCL": jobspec})
            return parsed
        try:
            job = json.loads(jobspec)
        except ValueError as error:
            raise PluginError(f"error parsing jobspec: {error}") from error
        job = job.get("Job", job) if isinstance(job, dict) else None
        if not job or not isinstance(job.get("ID"), str):
            raise PluginError("error parsing jobspec: input JSON is not a valid Nomad jobspec")
        return dict(job)

    async def planned(self, new: Plain) -> Plain:
        """What the specification itself tells."""
        job = await self._parsed(new["jobspec"], new)
        told = {
            "name": job["ID"],
            "namespace": job.get("Namespace") or "default",
            "type": job.get("Type") or "service",
            "region": job.get("Region"),
            "datacenters": job.get("Datacenters"),
        }
        return {key: value for key, value in told.items() if value}

    async def changes(self, old: Plain, new: Plain) -> list[Change]:
        """A renamed or moved job is another job; any other change must start from what Nomad now runs."""
        found = await super().changes(old, new)
        if any(change.path == "jobspec" for change in found):
            if has_unknown(new["jobspec"]):
                return found
            found += [Change(key, PropertyDiffKind.UPDATE, False) for key in self.recomputed]
            planned = await self.planned(new)
            moved = [key for key in ("name", "namespace") if planned[key] != old.get(key)]
            if moved and new.get("deregisterOnIdChange", True):
                return [*found, *(Change(key, PropertyDiffKind.UPDATE, True) for key in moved)]
            if not moved:
                await self._check_index(old, new)
        elif new.get("rerunIfDead") and old.get("status") == "dead":
            found.append(Change("status", PropertyDiffKind.UPDATE, False))
        return found

    async def _check_index(self, old: Plain, new: Plain) -> None:
        job = await self._parsed(new["jobspec"], new)
        body = {"Job": job, "Diff": False, "PolicyOverride": new.get("policyOverride", False)}
        try:
            plan = await self._api.call(
                "POST", f"/v1/job/{quote(job['ID'], '')}/plan", body=body, params=_in(job)
            )
        except PluginError:
            return  # a job that Nomad refuses fails when it is registered, with Nomad's reason
        if str(plan["JobModifyIndex"]) != old.get("modifyIndex"):
            raise PluginError("job modify index has changed since last refresh")

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Registers the job and, without `detach`, waits until its deployment succeeded."""
        return await self._register(new, {}, call)

    async def _register(self, new: Plain, condition: Plain, call: Call) -> tuple[str, Plain]:
        job = await self._parsed(new["jobspec"], new)
        name = job["ID"]
        body = {
            "Job": {**job, "Namespace": job.get("Namespace") or "default"},
            "Submission": {"Source": new["jobspec"], "Format": "json" if new.get("json") else "hcl2"},
            "PolicyOverride": new.get("policyOverride", False),
            "PreserveCounts": new.get("preserveCounts", False),
            **condition,
        }
        registered = await self._api.call("PUT", "/v1/jobs", body=body, params=_in(job))
        outputs = {**await self.planned(new), "modifyIndex": str(registered["JobModifyIndex"])}
        try:
            deployment: Plain = {}
            if not new.get("detach", True) and registered.get("EvalID"):
                deployment = await self._deployed(registered["EvalID"], call.timeout or _DEFAULT_TIMEOUT, job)
            found = await self.read(name, {**new, **outputs})
        except (PluginError, asyncio.CancelledError) as error:
            reason = str(error) or "cancelled"
            raise InitFailedError(
                name, outputs, f"error waiting for job '{name}' to schedule/deploy successfully: {reason}"
            ) from error
        return name, {**(found[1] if found else outputs), "jobspec": new["jobspec"], **deployment}

    async def _deployed(self, evaluation_id: str, timeout: float, job: Plain) -> Plain:
        """Follows the evaluation and its follow-ups, then the deployment if there is one."""
        deadline = time.monotonic() + timeout
        waiting = f"(timeout: {timeout:.0f}s)"
        while True:
            evaluation = await self._settled(
                f"/v1/evaluation/{evaluation_id}",
                deadline,
                ("pending",),
                "evaluation_complete " + waiting,
                job,
                pause=3.0,
            )
            if evaluation["Status"] in ("failed", "canceled"):
                raise PluginError(f"evaluation failed: {evaluation.get('StatusDescription')}")
            if not evaluation.get("NextEval"):
                break
            evaluation_id = evaluation["NextEval"]
        if not evaluation.get("DeploymentID"):
            return {}
        deployment = await self._settled(
            f"/v1/deployment/{evaluation['DeploymentID']}",
            deadline,
            ("initializing", "pending", "running", "blocked", "unblocking", "paused"),
            "deployment_successful " + waiting,
            job,
            pause=5.0,
        )
        if deployment["Status"] != "successful":
            raise PluginError(
                f"deployment '{deployment['ID']}' terminated with status '{deployment['Status']}': "
                f"'{deployment['StatusDescription']}'"
            )
        return {"deploymentId": deployment["ID"], "deploymentStatus": deployment["Status"]}

    async def _settled(
        self, path: str, deadline: float, pending: tuple[str, ...], state: str, job: Plain, *, pause: float
    ) -> Plain:
        """Blocking queries until the object is in none of the pending states; with POLLING as published.

        That begins with `pause` seconds between two questions, and doubles them up to _LONGEST_PAUSE.
        """
        index, polling = 0, bool(os.environ.get(POLLING))
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise PluginError(f"timeout while waiting for state to become {state}")
            wait = 0.0 if polling else min(left, _POLL)
            params = {**_in(job), "index": index, "wait": f"{wait * 1000:.0f}ms"}
            found: Plain | None = await self._api.call("GET", path, params=params, wait=wait)
            if found is None:
                raise PluginError(f"{path} is gone: Nomad's garbage collection took it")
            if found["Status"] not in pending:
                return found
            if polling:
                await asyncio.sleep(min(left, pause))
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                index = found["ModifyIndex"]

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The running version, with its specification if it has one. Import: `<job>@<namespace>`."""
        name, _, namespace = (
            resource_id.partition("@") if not old else (resource_id, "", old.get("namespace", ""))
        )
        params = {"namespace": namespace or "default"}
        path = f"/v1/job/{quote(old.get('name', name), '')}"
        job = await self._api.call("GET", path, params=params)
        if job is None:
            return None
        found = {
            **old,
            "name": job["ID"],
            "namespace": job["Namespace"],
            "type": job["Type"],
            "region": job["Region"],
            "datacenters": job["Datacenters"],
            "modifyIndex": str(job["JobModifyIndex"]),
            "status": job["Status"],
            "version": job["Version"],
        }
        if old.get("readAllocationIds"):
            allocations = await self._api.call("GET", f"{path}/allocations", params=params)
            found["allocationIds"] = [allocation["ID"] for allocation in allocations or []]
        submission = await self._api.call(
            "GET", f"{path}/submission", params={**params, "version": job["Version"]}
        )
        if submission and submission["Source"]:
            found["jobspec"] = submission["Source"]
            found["json"] = submission["Format"] == "json" or bool(old.get("json"))
        return job["ID"], found

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Registering the job again makes the next version, if it is still the one that was read last."""
        index = {"EnforceIndex": True, "JobModifyIndex": int(old["modifyIndex"])}
        return (await self._register(new, index, call))[1]

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Stops the job, and with `purgeOnDestroy` forgets it; not with `deregisterOnDestroy` false."""
        if old.get("deregisterOnDestroy", True):
            params = {
                "namespace": old.get("namespace", "default"),
                "purge": json.dumps(old.get("purgeOnDestroy", False)),
            }
            await self._api.call(
                "DELETE", f"/v1/job/{quote(old.get('name', resource_id), '')}", params=params
            )


def _in(job: Plain) -> dict[str, Any]:
    """Where a job lives, as query parameters."""
    found = {"namespace": job.get("Namespace"), "region": job.get("Region")}
    return {key: value for key, value in found.items() if value}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


_JOB_ACL = {"namespace": "Namespace", "jobId": "JobID", "group": "Group", "task": "Task"}
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def size_bytes(text: str) -> int:
    """A size such as "10 GiB" or "500MB" in bytes; raises PluginError."""
    match = re.fullmatch(r"([0-9.]+)\s*([kmgt]i?)?b?", text.strip().lower())
    if match is None:
        raise PluginError(f"capacity: {text!r} is no size: write it like 10GiB or 500MB")
    return int(float(match[1]) * _UNITS[match[2] or ""])


class DynamicHostVolumeRegistration(Resource):
    """A directory that is already there, registered as a host volume; needs Nomad 1.10 or newer."""

    type_name = "nomad:index/dynamicHostVolumeRegistration:DynamicHostVolumeRegistration"
    args = DynamicHostVolumeRegistrationArgs
    outputs = ("capacityBytes", "nodePool", "state")
    defaults: ClassVar[Mapping[str, Any]] = {"namespace": "default"}
    autonamed = True

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Registers it; Nomad gives the id."""
        return await self._register(new, {}, call)

    async def _register(self, new: Plain, extra: Plain, call: Call) -> tuple[str, Plain]:
        volume = {
            "Name": new["name"],
            "Namespace": new["namespace"],
            "NodeID": new["nodeId"],
            "HostPath": new["hostPath"],
            "CapacityBytes": size_bytes(new["capacity"]) if new.get("capacity") else 0,
            "RequestedCapabilities": [
                {"AccessMode": one["accessMode"], "AttachmentMode": one["attachmentMode"]}
                for one in new["capabilities"]
            ],
            "Parameters": new.get("parameters", {}),
            **extra,
        }
        params = {"namespace": new["namespace"]}
        answer = await self._api.call(
            "PUT", "/v1/volume/host/register", body={"Volume": volume}, params=params
        )
        resource_id = answer["Volume"]["ID"]
        deadline = time.monotonic() + (call.timeout or _DEFAULT_TIMEOUT)
        while time.monotonic() < deadline:
            found = await self.read(resource_id, new)
            if found and found[1]["state"] == "ready":
                return found
            await asyncio.sleep(1)
        raise InitFailedError(
            resource_id, {}, f"error polling for dynamic host volume readiness: {new['name']}"
        )

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The volume as registered. Import: `<volume id>@<namespace>`."""
        name, _, namespace = resource_id.partition("@")
        params = {"namespace": namespace or old.get("namespace", "default")}
        volume = await self._api.call("GET", f"/v1/volume/host/{name}", params=params)
        if volume is None:
            return None
        return name, {
            **old,
            "name": volume["Name"],
            "namespace": volume["Namespace"],
            "nodeId": volume["NodeID"],
            "nodePool": volume["NodePool"],
            "hostPath": volume["HostPath"],
            "state": volume["State"],
            "capacityBytes": volume["CapacityBytes"],
            "capabilities": [
                {"accessMode": one["AccessMode"], "attachmentMode": one["AttachmentMode"]}
                for one in volume["RequestedCapabilities"] or []
            ],
        }

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Registering under the same id changes it."""
        return (await self._register(new, {"ID": resource_id, "NodePool": old.get("nodePool", "")}, call))[1]

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Forgets the volume; with a registered one Nomad leaves the directory alone."""
        params = {"namespace": old.get("namespace", "default")}
        await self._api.call("DELETE", f"/v1/volume/host/{resource_id}", params=params)


class AclPolicy(Resource):
    """An ACL policy; creating one overwrites a policy of that name, as the published plugin does."""

    type_name = "nomad:index/aclPolicy:AclPolicy"
    args = AclPolicyArgs
    autonamed = True
    replacing = frozenset({"name"})

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(self, new: Plain, call: Call) -> tuple[str, Plain]:
        """Its id is its name."""
        bound = new.get("jobAcl")
        body = {
            "Name": new["name"],
            "Description": new.get("description", ""),
            "Rules": new["rulesHcl"],
            "JobACL": bound and {api: bound.get(key, "") for key, api in _JOB_ACL.items()},
        }
        await self._api.call("PUT", f"/v1/acl/policy/{new['name']}", body=body)
        return new["name"], {}

    async def read(self, resource_id: str, old: Plain) -> tuple[str, Plain] | None:
        """The policy as the server stores it."""
        found = await self._api.call("GET", f"/v1/acl/policy/{resource_id}")
        if found is None:
            return None
        bound = found.get("JobACL")
        return resource_id, {
            **old,
            "name": found["Name"],
            "description": found["Description"],
            "rulesHcl": found["Rules"],
            "jobAcl": bound and {key: bound[api] for key, api in _JOB_ACL.items() if bound[api]},
        }

    async def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        """Nomad replaces the whole policy."""
        return (await self.create(new, call))[1]

    async def delete(self, resource_id: str, old: Plain, call: Call) -> None:
        """Tokens that carry the policy keep its name without any right."""
        await self._api.call("DELETE", f"/v1/acl/policy/{resource_id}")


class Nomad(LocalProvider):
    """The settings that a homelab uses; the rest of the published plugin's are refused."""

    name = "nomad"
    settings: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "address": ("NOMAD_ADDR",),
        "region": ("NOMAD_REGION",),
        "secretId": ("NOMAD_TOKEN",),
    }
    required = ("address",)

    def resources(self, settings: Mapping[str, Any]) -> Sequence[Resource]:
        """All types, on one connection."""
        headers = {"X-Nomad-Token": settings["secretId"]} if settings.get("secretId") else {}
        params = {"region": settings["region"]} if settings.get("region") else {}
        api = Api("Nomad", settings.get("address", ""), "the setting nomad:address", headers, params)
        return [Job(api), DynamicHostVolumeRegistration(api), AclPolicy(api)]


PROVIDER = Nomad
