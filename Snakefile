from snakemake.utils import min_version

min_version("9.0")

if not workflow.configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


include: "workflow/rules/setup.smk"
include: "workflow/rules/output.smk"


# A configuration with `audit` is of finished models, and nothing is trained.
if reading.is_audit(SOURCES):

    include: "workflow/rules/audit.smk"

else:

    include: "workflow/rules/study.smk"


rule all:
    default_target: True
    input:
        WANTED,
    message:
        f"{RESULTS}/report.html and all that it shows are complete"
